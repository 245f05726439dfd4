import Foundation
import Loop
import MQTT
import TestSupport
import Testing
import Threads

/// What an uplink's `handle` was given.
final class Inbox: Sendable {
  private let state = Locked<(batches: [[String]], failures: Int, isOpen: Bool)>(([], 0, true))

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
    patience: @escaping @Sendable (MQTTMessage) -> Duration = { _ in .zero },
    change: (inout MQTTConfiguration) -> Void = { _ in },
    handle: @escaping @Sendable ([MQTTMessage]) async throws -> Void
  ) -> MQTTUplinkSession {
    var configuration = configuration("uplink")
    configuration.clientId = id
    configuration.cleanStart = false
    configuration.sessionExpiry = 3600
    change(&configuration)
    let uplink = MQTTUplinkSession(
      configuration: configuration, loop: loop, subscriptions: filters.map { MQTTSubscription($0) },
      maximumBatch: maximumBatch, patience: patience,
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

  @Test func whenItIsQuietABatchWaitsForWhatFollowsAndNotForEver() async throws {
    let bench = Bench(try await .shared())
    let topic = "up/\(Bench.unique())"
    let inbox = Inbox()
    let uplink = bench.uplink(
      topic, [topic],
      patience: { message in
        switch message.payload.first {
        case UInt8(ascii: "?"): .seconds(600)
        case UInt8(ascii: ","): .milliseconds(1)
        default: .zero
        }
      }
    ) { try inbox.take($0) }
    try await eventually("up") { uplink.isConnected }
    let sender = try await bench.connected("sender")
    for (count, text) in ["?a", "?b"].enumerated() {
      _ = try await sender.session.publish(MQTTMessage(topic, text))
      try await eventually("it is read") { uplink.counters.received == count + 1 }
    }
    #expect(inbox.batches == [])
    _ = try await sender.session.publish(MQTTMessage(topic, "c"))
    try await eventually("they go with what does not wait") { inbox.batches == [["?a", "?b", "c"]] }
    _ = try await sender.session.publish(MQTTMessage(topic, ",d"))
    try await eventually("nothing follows") { inbox.batches.last == [",d"] }
    // One that waits is handled before the end.
    _ = try await sender.session.publish(MQTTMessage(topic, "?e"))
    try await eventually("it is read") { uplink.counters.received == 5 }
    #expect(await uplink.leave())
    #expect(inbox.batches.last == ["?e"])
  }

  @Test func severalUplinksShareALoopAndATakeoverGetsWhatWaits() async throws {
    let bench = Bench(try await .shared())
    let topic = "up/\(Bench.unique())"
    let inboxes = (0..<3).map { _ in Inbox() }
    func start(_ number: Int) -> MQTTUplinkSession {
      bench.uplink("\(topic)/\(number)", ["\(topic)/\(number)/+"]) { try inboxes[number].take($0) }
    }
    var uplinks = (0..<3).map(start)
    try await eventually("up") { uplinks.allSatisfy(\.isConnected) }
    let sender = try await bench.connected("sender")
    for round in 0..<10 {
      let messages = (0..<300).map { MQTTMessage("\(topic)/\($0 % 3)/d", "\(round * 100 + $0 / 3)") }
      async let outcomes = sender.session.publish(messages)
      // Another takes over with the same client id, while messages come.
      let former = uplinks[round % 3]
      await former.stop()
      uplinks[round % 3] = start(round % 3)
      #expect(await outcomes.allSatisfy { $0 == .success(.accepted) })
    }
    for inbox in inboxes {
      try await eventually("all are there") { Set(inbox.texts).count == 1_000 }
      // In order, and what was handled before the end of a session is not sent again: it was acknowledged.
      #expect(inbox.texts == (0..<1_000).map(String.init))
    }
    for uplink in uplinks { #expect(await uplink.leave()) }
  }

  @Test func aHandlerThatFailsGetsTheSameBatchAgain() async throws {
    let bench = Bench(try await .shared())
    let topic = "up/\(Bench.unique())"
    let inbox = Inbox()
    inbox.setOpen(false)
    let uplink = bench.uplink(topic, [topic]) { try inbox.take($0) }
    try await eventually("up") { uplink.isConnected }
    let sender = try await bench.connected("sender")
    _ = await sender.session.publish((0..<50).map { MQTTMessage(topic, "\($0)") })
    try await eventually("tried") { inbox.failures >= 3 }
    #expect(inbox.batches == [])
    inbox.setOpen(true)
    try await eventually("handled") { inbox.texts.count >= 50 }
    #expect(inbox.texts == (0..<50).map(String.init))
    #expect(uplink.counters.retries >= 3)
    #expect(uplink.isConnected)
    #expect(await uplink.leave())
  }

  @Test func aLongRetryDoesNotCostTheConnection() async throws {
    let bench = Bench(try await .shared())
    let topic = "up/\(Bench.unique())"
    let inbox = Inbox()
    inbox.setOpen(false)
    let uplink = bench.uplink(topic, [topic], change: { $0.keepAlive = 5 }) { try inbox.take($0) }
    try await eventually("up") { uplink.isConnected }
    let sender = try await bench.connected("sender")
    _ = await sender.session.publish([MQTTMessage(topic, "held")])
    // The broker gives up on a client that is silent for one and a half times the keep-alive.
    try await Task.sleep(for: .seconds(11))
    inbox.setOpen(true)
    try await eventually("handled") { inbox.texts == ["held"] }
    #expect(uplink.counters.received == 1)
    #expect(uplink.counters.dropped == 0)
    #expect(await uplink.leave())
    #expect(inbox.texts == ["held"])
  }

  @Test func aBatchWhoseConnectionBreaksIsGivenUpAndComesAgain() async throws {
    var options = MosquittoServer.Options()
    options.persistence = true
    let server = try await MosquittoServer(options)
    let bench = Bench(server)
    let inbox = Inbox()
    inbox.setOpen(false)
    let uplink = bench.uplink("slot-1", ["$share/g/t"]) { try inbox.take($0) }
    try await eventually("up") { uplink.isConnected }
    let sender = try await bench.connected("sender")
    _ = await sender.session.publish((0..<20).map { MQTTMessage("t", "\($0)") })
    try await eventually("tried") { inbox.failures >= 1 }
    // A batch is what was there when the socket was read: not always all of them.
    let before = uplink.counters.received
    // In order, so that the broker saves what it has.
    server.stop()
    try await server.restart()
    try await eventually("given up and come again") {
      uplink.counters.dropped >= 1 && uplink.counters.received > before
    }
    inbox.setOpen(true)
    try await eventually("handled") { inbox.texts.count >= 20 }
    try await eventually("both are back") { sender.session.isConnected && uplink.isConnected }
    // The shared subscription is made again: new messages come too.
    #expect(try await sender.session.publish(MQTTMessage("t", "new")) == .accepted)
    try await eventually("new") { inbox.texts.last == "new" }
    #expect(inbox.texts == (0..<20).map(String.init) + ["new"])
    #expect(await uplink.leave())
    server.stop()
  }

  @Test func batchesAreBoundedAndFillUp() async throws {
    let bench = Bench(try await .shared())
    let topic = "up/\(Bench.unique())"
    let inbox = Inbox()
    inbox.setOpen(false)
    let uplink = bench.uplink(topic, [topic], maximumBatch: 70) { try inbox.take($0) }
    try await eventually("up") { uplink.isConnected }
    let sender = try await bench.connected("sender")
    _ = await sender.session.publish((0..<1_000).map { MQTTMessage(topic, "\($0)") })
    inbox.setOpen(true)
    try await eventually("handled") { inbox.texts.count >= 1_000 }
    #expect(inbox.batches.allSatisfy { $0.count <= 70 })
    #expect(inbox.batches.filter { $0.count == 70 }.count >= 5)
    #expect(inbox.texts == (0..<1_000).map(String.init))
    #expect(await uplink.leave())
  }

  @Test func leavingLosesNothingWhileAPublisherGoesOn() async throws {
    let bench = Bench(try await .shared())
    let topic = "up/\(Bench.unique())"
    let (staying, leaving) = (Inbox(), Inbox())
    let first = bench.uplink("\(topic)/1", ["$share/g/\(topic)"]) { try staying.take($0) }
    let second = bench.uplink("\(topic)/2", ["$share/g/\(topic)"], maximumBatch: 50) { messages in
      try await Task.sleep(for: .milliseconds(5))
      try leaving.take(messages)
    }
    try await eventually("up") { first.isConnected && second.isConnected }
    let sender = try await bench.connected("sender")
    let isDone = Flag()
    let publishing = Task {
      var sent = 0
      while !isDone.isSet {
        let outcomes = await sender.session.publish((0..<100).map { MQTTMessage(topic, "\(sent + $0)") })
        #expect(outcomes.allSatisfy { $0 == .success(.accepted) })
        sent += 100
      }
      return sent
    }
    try await eventually("both have their share") { staying.texts.count > 200 && leaving.texts.count > 200 }
    #expect(await second.leave())
    isDone.set()
    let sent = await publishing.value
    try await eventually("all handled") { staying.texts.count + leaving.texts.count >= sent }
    #expect(Set(staying.texts + leaving.texts).count == sent)
    #expect(staying.texts.count + leaving.texts.count == sent)
    // The broker has forgotten it.
    let probe = try await bench.connected("again") {
      $0.clientId = "\(topic)/2"
      $0.cleanStart = false
    }
    #expect(probe.states == [.connected(sessionPresent: false)])
    #expect(await first.leave())
  }

  @Test func stoppingAndLeavingAreBounded() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let inbox = Inbox()
    inbox.setOpen(false)
    let uplink = bench.uplink("stuck", ["t"]) { try inbox.take($0) }
    try await eventually("up") { uplink.isConnected }
    let sender = try await bench.connected("sender")
    _ = await sender.session.publish([MQTTMessage("t", "x")])
    try await eventually("tried") { inbox.failures >= 1 }
    let start = ContinuousClock.now
    #expect(await uplink.leave(timeout: .milliseconds(300)) == false)
    // Its message was not acknowledged: it is still there.
    let second = Inbox()
    let again = bench.uplink("stuck", ["t"]) { try second.take($0) }
    try await eventually("comes again") { second.texts == ["x"] }
    server.signal(19)  // SIGSTOP
    await again.stop(timeout: .milliseconds(300))
    server.kill()
    let alone = bench.uplink("alone", ["t"]) { try second.take($0) }
    await alone.stop(timeout: .milliseconds(300))
    #expect(ContinuousClock.now - start < .seconds(15))
  }
}
