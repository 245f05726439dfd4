import MQTT
import Synchronization
import TestSupport
import Testing

/// What an uplink's `handle` was given.
final class Inbox: Sendable {
  private let state = Mutex<(batches: [[String]], failures: Int, isOpen: Bool)>(([], 0, true))

  var batches: [[String]] { state.withLock { $0.batches } }
  var texts: [String] { batches.flatMap { $0 } }

  /// While closed, `take` throws.
  func setOpen(_ isOpen: Bool) { state.withLock { $0.isOpen = isOpen } }
  var failures: Int { state.withLock { $0.failures } }

  func take(_ messages: [MQTTMessage]) throws {
    try state.withLock { state in
      guard state.isOpen else {
        state.failures += 1
        throw TestSupportError("closed")
      }
      state.batches.append(messages.map { String(decoding: $0.payload, as: UTF8.self) })
    }
  }
}

extension Bench {
  func uplink(
    _ id: String, _ filters: [String], maximumBatch: Int = 1000,
    change: (inout MQTTConfiguration) -> Void = { _ in },
    handle: @escaping @Sendable ([MQTTMessage]) async throws -> Void
  ) -> MQTTUplinkSession {
    var configuration = configuration("uplink")
    configuration.clientId = id
    configuration.cleanStart = false
    configuration.sessionExpiry = 3600
    change(&configuration)
    let uplink = MQTTUplinkSession(
      configuration: configuration, subscriptions: filters.map { MQTTSubscription($0) },
      maximumBatch: maximumBatch,
      logger: logger, handle: handle)
    uplink.start()
    return uplink
  }
}

@Suite struct UplinkTests {
  @Test func messagesComeInOrderAndOnce() async throws {
    let bench = Bench(try await .shared())
    let topic = "up/\(Bench.unique())"
    let inbox = Inbox()
    let uplink = bench.uplink(topic, ["$share/g/\(topic)/+"]) { try inbox.take($0) }
    try await eventually("up") { uplink.isConnected }
    let sender = try await bench.connected("sender")
    let outcomes = await sender.session.publish((0..<3_000).map { MQTTMessage("\(topic)/d", "\($0)") })
    #expect(outcomes.allSatisfy { $0 == .success(.accepted) })
    try await eventually("all handled") { inbox.texts.count >= 3_000 }
    #expect(inbox.texts == (0..<3_000).map(String.init))
    #expect(uplink.counters.received == 3_000)
    #expect(await uplink.leave())
  }

  @Test func whatWasNotHandledBeforeTheConnectionBrokeComesAgainAndNothingElse() async throws {
    let bench = Bench(try await .shared())
    let topic = "up/\(Bench.unique())"
    let first = Inbox()
    let uplink = bench.uplink(topic, ["$share/g/\(topic)"]) { messages in
      try first.take(messages)
      if first.texts.contains("held 1") { try await Task.sleep(for: .seconds(60)) }
    }
    try await eventually("up") { uplink.isConnected }
    let sender = try await bench.connected("sender")
    _ = await sender.session.publish((1...5).map { MQTTMessage(topic, "done \($0)") })
    try await eventually("handled") { first.texts.count == 5 }
    // One more round trip, so that the PUBACKs of the first five are surely written.
    try await Task.sleep(for: .milliseconds(200))
    _ = await sender.session.publish((1...5).map { MQTTMessage(topic, "held \($0)") })
    try await eventually("being handled") { first.texts.contains("held 1") }
    // The task is cancelled and the socket dropped before the PUBACKs were written.
    await uplink.stop(timeout: .milliseconds(100))
    let second = Inbox()
    let again = bench.uplink(topic, ["$share/g/\(topic)"]) { try second.take($0) }
    try await eventually("come again") { second.texts.count >= 5 }
    await again.stop()
    #expect(second.texts == (1...5).map { "held \($0)" })
    let third = Inbox()
    let last = bench.uplink(topic, ["$share/g/\(topic)"]) { try third.take($0) }
    try await eventually("up") { last.isConnected }
    try await Task.sleep(for: .milliseconds(300))
    #expect(third.texts == [])
    #expect(await last.leave())
  }
}
