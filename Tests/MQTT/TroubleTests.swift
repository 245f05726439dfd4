import MQTT
import Synchronization
import TestSupport
import Testing

@Suite struct TroubleTests {
  @Test func everyPublicationInFlightHasAnOutcomeWhenTheBrokerIsKilled() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let receiver = try await bench.connected("receiver", subscriptions: [MQTTSubscription("t")])
    let sender = try await bench.connected("sender")
    server.signal(19)  // SIGSTOP: from here on nothing is acknowledged.
    let messages = (0..<500).map { MQTTMessage("t", "\($0)") }
    let outcomes = Task { await sender.session.publish(messages) }
    let single = Task { try await sender.session.publish(MQTTMessage("t", "single")) }
    try await Task.sleep(for: .milliseconds(200))
    server.kill()
    #expect(await outcomes.value.allSatisfy { $0 == .failure(.connectionLost) })
    await #expect(throws: MQTTError.connectionLost) { try await single.value }
    try await server.restart()
    try await eventually("both are back") { sender.session.isConnected && receiver.session.isConnected }
    // Subscribed again, and nothing of the 500 is sent again behind our back.
    #expect(try await sender.session.publish(MQTTMessage("t", "after")) == .accepted)
    try await eventually("it arrives") { !receiver.texts.isEmpty }
    #expect(receiver.texts == ["after"])
    #expect(sender.states.first == .connected(sessionPresent: false))
    guard case .disconnected(.connectionLost) = sender.states[1] else { return #expect(Bool(false)) }
    #expect(sender.states.last == .connected(sessionPresent: false))
    server.stop()
  }

  @Test func aBrokerThatIsKilledInTheMiddleOfTrafficLeavesNobodyWaiting() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let sender = try await bench.connected("sender")
    let receiver = try await bench.connected("receiver", subscriptions: [MQTTSubscription("t")])
    let counts = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
      for _ in 0..<20 {
        group.addTask {
          var (good, bad) = (0, 0)
          while bad == 0 {
            for outcome in await sender.session.publish((0..<500).map { MQTTMessage("t", "\($0)") }) {
              if case .success = outcome { good += 1 } else { bad += 1 }
            }
          }
          return (good, bad)
        }
      }
      // More than may be unacknowledged at once: some have their PUBACK.
      try await eventually("in the middle") { receiver.messages.count > 2_000 }
      server.kill()
      return try await group.reduce(into: (0, 0)) { $0 = ($0.0 + $1.0, $0.1 + $1.1) }
    }
    #expect(counts.0 > 0)
    #expect(counts.1 > 0)
    #expect((counts.0 + counts.1) % 500 == 0)
    server.stop()
  }

  @Test func everyAwaitCanBeCancelled() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let probe = try await bench.connected("cancelled", subscriptions: [MQTTSubscription("before")])
    server.signal(19)  // SIGSTOP
    let session = probe.session
    let single = Task { try await session.publish(MQTTMessage("t", "x")) }
    let batch = Task { await session.publish((0..<500).map { MQTTMessage("t", "\($0)") }) }
    let subscribing = Task { try await session.subscribe(MQTTSubscription("t")) }
    let unsubscribing = Task { try await session.unsubscribe("before") }
    try await Task.sleep(for: .milliseconds(100))
    for cancel in [single.cancel, batch.cancel, subscribing.cancel, unsubscribing.cancel] { cancel() }
    await #expect(throws: CancellationError.self) { try await single.value }
    #expect(await batch.value.allSatisfy { $0 == .failure(.cancelled) })
    await #expect(throws: CancellationError.self) { try await subscribing.value }
    await #expect(throws: CancellationError.self) { try await unsubscribing.value }
    // Cancelled before the await.
    let early = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await session.publish(MQTTMessage("t", "early"))
    }
    await #expect(throws: CancellationError.self) { try await early.value }
    server.signal(18)  // SIGCONT
    // The connection is as good as before, and what was cancelled before it was written is not sent.
    try await eventually("it works") { try await session.publish(MQTTMessage("t", "after")) == .accepted }
    try await eventually("it arrives") { probe.texts.contains("after") }
    #expect(!probe.texts.contains("early"))
    #expect(probe.states == [.connected(sessionPresent: false)])
    server.signal(19)
    let leaving = Task { await session.disconnect(timeout: .seconds(60)) }
    _ = session.publishDetached(MQTTMessage("t", "x"))
    leaving.cancel()
    await leaving.value
    server.kill()
  }

  @Test func disconnectingFromABrokerThatHangsIsBounded() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let probe = try await bench.connected("hanging")
    server.signal(19)
    let pending = Task { try await probe.session.publish(MQTTMessage("t", "x")) }
    try await Task.sleep(for: .milliseconds(50))
    let start = ContinuousClock.now
    await probe.session.disconnect(timeout: .milliseconds(200))
    #expect(ContinuousClock.now - start < .seconds(5))
    await #expect(throws: MQTTError.connectionLost) { try await pending.value }
    server.kill()
  }

  @Test func aBrokerThatHangsIsNoticedByTheKeepAlive() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let probe = try await bench.connected("silent") { $0.keepAlive = 5 }
    server.signal(19)
    try await eventually("noticed", within: 30) { probe.states.contains(.disconnected(.timedOut)) }
    server.kill()
  }

  @Test func aSilentConnectionIsKeptAlive() async throws {
    let bench = Bench(try await .shared())
    let probe = try await bench.connected("quiet") { $0.keepAlive = 5 }
    try await Task.sleep(for: .seconds(13))
    #expect(probe.states == [.connected(sessionPresent: false)])
    #expect(try await probe.session.publish(MQTTMessage("nobody/here", "x")) == .noMatchingSubscribers)
  }

  @Test func theLoopEndsWithSessionsThatWait() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let probe = try await bench.connected("ending")
    server.signal(19)
    let pending = Task { try await probe.session.publish(MQTTMessage("t", "x")) }
    try await Task.sleep(for: .milliseconds(50))
    bench.loop.shutdown()
    await #expect(throws: MQTTError.connectionLost) { try await pending.value }
    await #expect(throws: MQTTError.notConnected) { try await probe.session.publish(MQTTMessage("t", "x")) }
    await #expect(throws: MQTTError.notConnected) { try await probe.session.subscribe(MQTTSubscription("t")) }
    await probe.session.disconnect()
    bench.loop.shutdown()
    server.kill()
  }

  @Test func theBrokersReasonForEndingAConnectionIsTold() async throws {
    let hostile = try HostileServer(.shutsDown)
    let bench = Bench(try await .shared())
    let probe = bench.session("told") { $0.port = hostile.port }
    try await eventually("told") {
      probe.states.contains(.disconnected(.byBroker(MQTTReasonCode(rawValue: 139))))
    }
    await probe.session.disconnect()
  }

  @Test(arguments: HostileServer.Manner.allCases)
  func aHostileServerOnlyCostsBackOff(_ manner: HostileServer.Manner) async throws {
    let hostile = try HostileServer(manner)
    let bench = Bench(try await .shared())
    let probe = bench.session("victim") {
      $0.port = hostile.port
      $0.connectTimeout = .milliseconds(300)
    }
    try await eventually("tried again") { hostile.connections >= 3 }
    try await Task.sleep(for: .seconds(1))
    // 100, 200, 400, 800 ms … with jitter: after 1 to 2 seconds it cannot have been many.
    #expect(hostile.connections < 40)
    #expect(!probe.states.isEmpty)
    await probe.session.disconnect()
  }
}
