import Foundation
import MQTT
import TestSupport
import Testing
import Wire

extension EndToEnd {
  @Suite struct UplinkSessionTests {
    @Test func replicasShareTheSessionsEvenly() async throws {
      let stack = try await BridgeStack.make()
      let first = try await stack.startBridge("1")
      #expect(try await stack.owners() == ["reported": "1", "state": "1", "status": "1"])
      let second = try await stack.startBridge("2")
      defer { first.process.stop() }
      try await eventually("two and one") { try await stack.shares() == [1, 2] }
      let third = try await stack.startBridge("3")
      try await eventually("one each") { try await stack.shares() == [1, 1, 1] }
      // Each speaks of what it reads.
      for bridge in [first, second, third] {
        try await eventually("it reads one") {
          var read = 0.0
          for name in ["status", "reported", "state"] {
            read += try await bridge.metric(#"martlet_bridge_uplink_session{class="\#(name)"}"#)
          }
          return read == 1
        }
      }
      // In order: what they had is another's at once.
      third.process.stop()
      second.process.stop()
      try await eventually("the last one has all", within: 4) { try await stack.shares() == [3] }
      let device = try await stack.device(topics: [])
      try await device.send(numbers: 0..<100)
      #expect(try await stack.firsts(of: device.id, count: 100) == (0..<100).map { $0 })
    }

    @Test func aKilledOneIsReplacedWithinSixSeconds() async throws {
      let stack = try await BridgeStack.make()
      let first = try await stack.startBridge("1")
      let second = try await stack.startBridge("2")
      defer { second.process.stop() }
      try await eventually("two and one") { try await stack.shares() == [1, 2] }
      first.process.stop(SIGKILL)
      let killed = ContinuousClock.now
      let device = try await stack.device(topics: [])
      try await device.send(numbers: 0..<50)
      try await device.send(.reported, #"{"slots":{}}"#)
      try await device.send(
        .commandStatus, #"{"id":"\#(UUID().uuidString.lowercased())","status":"SUCCESS"}"#)
      try await eventually("all three sessions are read") {
        Set(stack.records.uplinks(device.id).map(\.kind)) == [.state, .reported, .status]
      }
      let took = ContinuousClock.now - killed
      #expect(took < .seconds(6), "took \(took)")
    }

    /// One that was stopped for longer than its lease wakes up as a stranger: it takes no client id back.
    @Test func aSleeperDoesNotFightForItsSessions() async throws {
      let stack = try await BridgeStack.make()
      let first = try await stack.startBridge("1")
      let device = try await stack.device(topics: [])
      try await device.send(numbers: 0..<100)
      let second = try await stack.startBridge("2", isReady: false)
      defer { for bridge in [first, second] { bridge.process.stop() } }
      try await eventually("two and one") { try await stack.shares() == [1, 2] }
      first.process.signal(SIGSTOP)
      try await device.send(numbers: 100..<200)
      try await eventually("the other one has all") {
        try await stack.owners().values.allSatisfy { $0 == "2" }
      }
      try await device.send(numbers: 200..<300)
      let epochs = try await stack.epochs()
      first.process.signal(SIGCONT)
      for start in stride(from: 300, to: 600, by: 50) {
        try await device.send(numbers: start..<(start + 50))
      }
      try await eventually("it has its share again") { try await stack.shares() == [1, 2] }
      #expect(try await stack.firsts(of: device.id, count: 600) == (0..<600).map { $0 })
      // One session came back by way of the table, and none by force.
      #expect(try await stack.epochs() == epochs + 1)
      #expect(!second.logText.contains("MQTT connection down"))
    }

    /// Somebody without a lease has the client id, as another stack with the same prefix would: no fight, and no end.
    @Test func aStrangerWithTheClientIdIsNotFought() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge(settings: ["MARTLET_MQTT_CLIENT_PREFIX": "one"])
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [])
      let stranger = MQTTUplinkSession(
        configuration: MQTTConfiguration(
          host: "127.0.0.1", port: stack.mosquitto.port, clientId: "one-uplink-state", cleanStart: false,
          sessionExpiry: 3600), loop: stack.loop, subscriptions: [], logger: BridgeStack.logger,
        handle: { _ in throw CancellationError() })
      // It insists, each time that it is thrown out.
      stranger.start()
      try await eventually("the bridge says so") { bridge.logText.contains("mqtt-client-prefix") }
      try await device.send(numbers: 0..<20)
      await stranger.stop()
      #expect(try await stack.firsts(of: device.id, count: 20) == (0..<20).map { $0 })
    }

    /// Without the database nobody knows whose the sessions are: they are left until it answers.
    @Test func withoutTheDatabaseNothingIsRead() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [])
      try await device.send(numbers: 0..<10)
      _ = try await stack.firsts(of: device.id, count: 10)
      async let lock = stack.postgres.psql(
        "BEGIN; LOCK TABLE bridge.uplink_session IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(7); COMMIT",
        database: stack.database)
      try await eventually("it has left them") { bridge.logText.contains("the lease ran out") }
      try await device.send(numbers: 10..<20)
      _ = try await lock
      #expect(try await stack.firsts(of: device.id, count: 20) == (0..<20).map { $0 })
      #expect(stack.sequence(of: device.id).count == 20)
    }

    /// What waits in the sessions of the `$share` design is not lost, and they are ended.
    @Test func formerSessionsAreEmptiedAndEnded() async throws {
      let stack = try await BridgeStack.make()
      let former = MQTTConfiguration(
        host: "127.0.0.1", port: stack.mosquitto.port, clientId: "martlet-bridge-7-up", cleanStart: false,
        sessionExpiry: 3600)
      let old = MQTTSession(
        configuration: former, loop: stack.loop,
        subscriptions: DeviceTopic.uplinks.map { MQTTSubscription("$share/martlet/\($0.filter)") },
        logger: BridgeStack.logger)
      old.start()
      try await eventually("the former session is there") { old.isConnected }
      await old.disconnect()
      let device = try await stack.device(topics: [])
      try await device.send(numbers: 0..<50)
      // As the migration leaves it, where there was a slot.
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      #expect(stack.sequence(of: device.id).isEmpty)
      _ = try await stack.postgres.psql(
        "INSERT INTO bridge.uplink_session (name) VALUES ('slot-7')", database: stack.database)
      #expect(try await stack.firsts(of: device.id, count: 50) == (0..<50).map { $0 })
      try await eventually("its row is gone") { try await stack.owners().count == 3 }
      let again = Mutexed(false)
      let look = MQTTSession(
        configuration: former, loop: stack.loop, logger: BridgeStack.logger,
        onState: { if case .connected(sessionPresent: true) = $0 { again.set(true) } })
      look.start()
      try await eventually("the broker answers") { look.isConnected }
      #expect(!again.get(), "the broker has forgotten it")
      await look.disconnect()
    }
  }
}

extension BridgeStack {
  /// Who holds which session, by name.
  func owners() async throws -> [String: String] {
    let text = try await postgres.psql(
      "SELECT name || ' ' || coalesce(replica, '-') FROM bridge.uplink_session", database: database)
    return Dictionary(
      uniqueKeysWithValues: text.split(separator: "\n").map { line in
        let parts = line.split(separator: " ")
        return (String(parts[0]), String(parts[1]))
      })
  }

  /// How many sessions each replica holds, ascending; empty while one has no holder.
  func shares() async throws -> [Int] {
    let owners = try await owners()
    if owners.values.contains("-") { return [] }
    return Dictionary(grouping: owners.values) { $0 }.values.map(\.count).sorted()
  }

  /// The sum of all sessions' epochs.
  func epochs() async throws -> Int {
    Int(try await postgres.psql("SELECT sum(epoch) FROM bridge.uplink_session", database: database)) ?? -1
  }
}
