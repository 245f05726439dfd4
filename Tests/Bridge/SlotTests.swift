import Foundation
import MQTT
import TestSupport
import Testing
import Wire

extension EndToEnd {
  @Suite struct SlotTests {
    @Test func twoReplicasShareTheWork() async throws {
      let stack = try await BridgeStack.make()
      let first = try await stack.startBridge("1")
      let second = try await stack.startBridge("2")
      defer { for bridge in [first, second] { bridge.process.stop() } }
      #expect(try await stack.slots() == "1 1\n2 2")
      let devices = try await Self.devices(20, stack)
      for device in devices {
        for index in 0..<20 { try await device.send(.state, #"{"n":\#(index)}"#) }
      }
      try await stack.send(devices.map { ($0.id, .command(command())) })
      try await eventually("all uplinks are there") {
        devices.allSatisfy { stack.numbers(of: $0.id).count == 20 }
      }
      try await eventually("all commands are there") { devices.allSatisfy { $0.messages.count >= 1 } }
      for bridge in [first, second] {
        let metrics = try await bridge.get("metrics")
        #expect(try Self.count(metrics, #"uplinks_total{kind="state"}"#) > 0)
        #expect(try Self.count(metrics, #"downlinks_total{kind="command"}"#) > 0)
      }
    }

    @Test func anOrphanedSlotIsAdoptedAndDrained() async throws {
      let stack = try await BridgeStack.make()
      let first = try await stack.startBridge("1")
      let second = try await stack.startBridge("2")
      defer { first.process.stop() }
      second.process.stop(SIGKILL)
      let device = try await stack.device(topics: [])
      // Half of them go to the session of the dead one.
      for index in 0..<100 { try await device.send(.state, #"{"n":\#(index)}"#) }
      try await eventually("those of the living are there") { !stack.numbers(of: device.id).isEmpty }
      try await eventually("all are there", within: 30) { stack.numbers(of: device.id).count == 100 }
      try await eventually("the slot is free") { try await stack.slots() == "1 1\n2 -" }
      // Nothing goes to the dead one's session any more.
      for index in 100..<200 { try await device.send(.state, #"{"n":\#(index)}"#) }
      try await eventually("all are there", within: 5) { stack.numbers(of: device.id).count == 200 }
    }

    @Test func aReplicaThatLeavesEndsItsSessionUnlessItIsTheLast() async throws {
      let stack = try await BridgeStack.make()
      let first = try await stack.startBridge("1")
      let second = try await stack.startBridge("2")
      let device = try await stack.device(topics: [])
      let start = ContinuousClock.now
      second.process.stop()
      #expect(ContinuousClock.now - start < .seconds(10))
      #expect(try await stack.slots() == "1 1\n2 -")
      for index in 0..<50 { try await device.send(.state, #"{"n":\#(index)}"#) }
      try await eventually("all are there", within: 5) { stack.numbers(of: device.id).count == 50 }
      first.process.stop()
      // The last one's session waits for whoever comes.
      for index in 50..<100 { try await device.send(.state, #"{"n":\#(index)}"#) }
      let third = try await stack.startBridge("3")
      defer { third.process.stop() }
      try await eventually("all are there") { stack.numbers(of: device.id).count == 100 }
      #expect(try await stack.slots() == "1 3\n2 -")
    }

    private static func devices(_ count: Int, _ stack: BridgeStack) async throws -> [TestDevice] {
      var devices: [TestDevice] = []
      for _ in 0..<count { devices.append(try await stack.device(topics: [.command])) }
      return devices
    }

    private static func count(_ metrics: String, _ name: String) throws -> Int {
      let line = try #require(metrics.split(separator: "\n").first { $0.contains(name) })
      return try #require(Int(line.split(separator: " ").last ?? ""))
    }
  }
}
