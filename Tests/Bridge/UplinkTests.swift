import Foundation
import MQTT
import TestSupport
import Testing
import Wire

/// Real brokers and real processes; one after the other, since all share one consumer group.
@Suite(.serialized) struct EndToEnd {}

extension EndToEnd {
  @Suite struct UplinkTests {
    @Test func whatDevicesSayComesAsItIs() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [])
      let traceparent = TraceContext().traceparent
      let odd = #"{ "battery" : 1.50, "at":"2026-01-31T12:00:00Z" }"#
      try await device.send(.state, odd, traceparent: traceparent)
      try await device.send(.presence, #"{"online":true}"#, traceparent: "nonsense")
      try await eventually("both are there") { stack.records.all(.deviceUplink, key: device.id).count == 2 }
      let records = stack.records.all(.deviceUplink, key: device.id)
      #expect(records.map { String(decoding: $0.value ?? [], as: UTF8.self) } == [odd, #"{"online":true}"#])
      #expect(
        records.map { $0.header(EventHeader.type) } == [
          Uplink.Kind.state.rawValue, Uplink.Kind.presence.rawValue,
        ])
      #expect(records.map { $0.header(EventHeader.traceparent) } == [traceparent, nil])
      #expect(Set(records.compactMap { $0.header(EventHeader.id) }).count == 2)
    }

    @Test func garbageIsSetAsideWithItsTopic() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [])
      let secret = "s3cr3t-\(UUID().uuidString)"
      for index in 0..<30 {
        try await device.send(.commandStatus, "\(secret) {")
        try await device.send(.state, #"{"n":\#(index)}"#)
      }
      try await eventually("the good ones are there, and of the others that they came") {
        let kinds = stack.records.uplinks(device.id).map(\.kind)
        return kinds.count { $0 == .state } == 30 && kinds.count { $0 == .unreadable } == 30
          && kinds.count == 60
      }
      try await eventually("the bad ones are set aside") {
        stack.records.all(.deadLetter, key: device.id).count == 30
      }
      let letter = try JSON(parsing: stack.records.all(.deadLetter, key: device.id)[0].value ?? [])
      #expect(letter["origin"]?.string == DeviceTopic.commandStatus.of(device.id))
      #expect(letter["payload"]?.string == "\(secret) {")
      #expect(bridge.logText.contains(DeviceTopic.commandStatus.of(device.id)))
      #expect(!bridge.logText.contains(secret))
      #expect(try await bridge.get("metrics").contains(#"martlet_dead_letters_total{consumer="uplink"} 30"#))
    }

    @Test func garbageThatTheBrokerKeptProvesNobodyThere() async throws {
      let stack = try await BridgeStack.make()
      let device = try await stack.device(topics: [])
      try await device.send(.presence, "{", retain: true)
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      try await eventually("it is set aside") {
        stack.records.all(.deadLetter, key: device.id).count == 1
      }
      // Of one device all comes in order.
      try await device.send(.presence, "{")
      try await eventually("it is there") { stack.records.uplinks(device.id).map(\.kind) == [.unreadable] }
      #expect(stack.records.all(.deadLetter, key: device.id).count == 2)
    }

    @Test func killedUnderLoadNothingIsLost() async throws {
      let stack = try await BridgeStack.make()
      var bridge = try await stack.startBridge()
      let device = try await stack.device(topics: [])
      let sending = Task {
        for index in 0..<500 {
          try await device.send(.state, #"{"n":\#(index)}"#)
          if index % 10 == 0 { try await Task.sleep(for: .milliseconds(2)) }
        }
      }
      for _ in 0..<3 {
        try await Task.sleep(for: .milliseconds(60))
        bridge.process.stop(SIGKILL)
        bridge = try await stack.startBridge(isReady: false)
      }
      try await sending.value
      try await eventually("all 500 are there", within: 40) { stack.numbers(of: device.id).count == 500 }
      bridge.process.stop()
    }

    @Test func kafkaHangsAndGoesOn() async throws {
      let stack = try await BridgeStack.make(ownKafka: true)
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [])
      try await device.send(.state, #"{"n":0}"#)
      try await eventually("it works") { stack.numbers(of: device.id) == [0] }
      stack.kafka.signal(SIGSTOP)
      for index in 1..<200 { try await device.send(.state, #"{"n":\#(index)}"#) }
      try await Task.sleep(for: .seconds(2))
      // Killed while the broker has no PUBACK for any of them: they come again.
      bridge.process.stop(SIGKILL)
      stack.kafka.signal(SIGCONT)
      let next = try await stack.startBridge()
      defer { next.process.stop() }
      try await eventually("nothing is lost", within: 60) { stack.numbers(of: device.id).count == 200 }
    }
  }
}

extension BridgeStack {
  /// The different `n` in a device's states.
  func numbers(of device: String) -> Set<Int64> {
    Set(
      records.uplinks(device).compactMap { uplink in
        if case .state(let state) = uplink { state.attributes["n"]?.int } else { nil }
      })
  }
}
