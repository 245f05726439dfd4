import Foundation
import Loop
import MQTT
import TestSupport
import Testing
import Threads

/// What an uplink needs that several processes take in turns.
@Suite struct LeasedUplinkTests {
  private final class States: Sendable {
    private let states = Locked<[MQTTSessionState]>([])
    var all: [MQTTSessionState] { states.withLock { $0 } }
    func add(_ state: MQTTSessionState) { states.withLock { $0.append(state) } }
  }

  private func uplink(
    _ bench: Bench, _ id: String, _ subscription: MQTTSubscription, _ states: States,
    maximumBytes: Int = 8 << 20,
    inbox: Inbox
  ) -> MQTTUplinkSession {
    var configuration = bench.configuration("uplink")
    configuration.clientId = id
    configuration.cleanStart = false
    configuration.sessionExpiry = 3600
    let uplink = MQTTUplinkSession(
      configuration: configuration, loop: bench.loop, subscriptions: [subscription],
      maximumBytes: maximumBytes,
      logger: bench.logger, reconnects: false, handle: { try inbox.take($0) },
      onState: { states.add($0) })
    uplink.start()
    return uplink
  }

  /// Mosquitto 2.0.11 tells one that is taken over nothing.
  @Test func oneConnectionAndNoMore() async throws {
    let bench = Bench(try await .shared())
    let topic = "leased/\(Bench.unique())"
    let states = States()
    let former = uplink(bench, topic, MQTTSubscription(topic), states, inbox: Inbox())
    try await eventually("up") { former.isConnected }
    let inbox = Inbox()
    let next = uplink(bench, topic, MQTTSubscription(topic), States(), inbox: inbox)
    try await eventually("the former one has ended") { states.all.count == 2 }
    let sender = try await bench.connected("sender")
    for number in 0..<20 {
      _ = try await sender.session.publish(MQTTMessage(topic, "\(number)"))
      try await Task.sleep(for: .milliseconds(20))
    }
    try await eventually("all come to the next one") { inbox.texts == (0..<20).map(String.init) }
    #expect(states.all.count == 2, "it did not come back")
    #expect(!former.isConnected && next.isConnected)
    #expect(await next.leave())
  }

  @Test func noConnectionIsTold() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    server.kill()
    let states = States()
    let alone = uplink(bench, "alone", MQTTSubscription("t"), states, inbox: Inbox())
    try await eventually("it has ended") { states.all.count == 1 }
    #expect(await alone.leave(timeout: .zero) == false)
  }

  @Test func aBatchIsBoundedByItsBytes() async throws {
    let bench = Bench(try await .shared())
    let topic = "leased/\(Bench.unique())"
    let inbox = Inbox()
    inbox.setOpen(false)
    let uplink = uplink(bench, topic, MQTTSubscription(topic), States(), maximumBytes: 10_000, inbox: inbox)
    try await eventually("up") { uplink.isConnected }
    let sender = try await bench.connected("sender")
    let payload = String(repeating: "x", count: 1000)
    _ = await sender.session.publish((0..<200).map { _ in MQTTMessage(topic, payload) })
    try await eventually("tried") { inbox.failures > 0 }
    #expect(uplink.counters.received <= 10)
    inbox.setOpen(true)
    try await eventually("handled") { inbox.texts.count == 200 }
    #expect(inbox.batches.allSatisfy { $0.count <= 10 })
    #expect(inbox.batches.contains { $0.count == 10 })
    #expect(await uplink.leave())
  }

  @Test func retainedMessagesComeOnceASession() async throws {
    let bench = Bench(try await .shared())
    let topic = "leased/\(Bench.unique())"
    let sender = try await bench.connected("sender")
    var kept = MQTTMessage(topic, "kept")
    kept.retain = true
    _ = try await sender.session.publish(kept)
    let subscription = MQTTSubscription(topic, retained: .ifNew)
    let (first, second) = (Inbox(), Inbox())
    let one = uplink(bench, topic, subscription, States(), inbox: first)
    try await eventually("the session is new") { first.texts == ["kept"] }
    await one.stop()
    let two = uplink(bench, topic, subscription, States(), inbox: second)
    try await eventually("up") { two.isConnected }
    _ = try await sender.session.publish(MQTTMessage(topic, "live"))
    try await eventually("only what is new") { second.texts == ["live"] }
    #expect(await two.leave())
    kept.payload = []
    _ = try await sender.session.publish(kept)
  }
}
