import Foundation
import TestSupport
import Testing
import Wire

extension EndToEnd {
  @Suite struct BacklogTests {
    /// More than the 10,000 messages after which the broker once dropped what it had acknowledged.
    @Test(.enabled(if: KafkaServer.isReal)) func kafkaIsAwayForLong() async throws {
      let stack = try await BridgeStack.make(ownKafka: true)
      let bridge = try await stack.startBridge(settings: ["MARTLET_MQTT_QUEUE_BYTES": "\(20 << 20)"])
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [])
      try await device.send(numbers: 0..<10)
      _ = try await stack.firsts(of: device.id, count: 10)
      stack.kafka.kill()
      let count = 12_500
      try await device.send(numbers: 10..<1000, padding: 1000)
      let before = try bridge.residentBytes()
      try await device.send(numbers: 1000..<count, padding: 1000)
      let after = try bridge.residentBytes()
      #expect(after - before < 4 << 20, "the bridge holds what it cannot hand on")
      // Before anything is lost somebody hears of it.
      try await eventually("the broker's store is told") {
        try await bridge.metric("martlet_bridge_broker_stored_bytes") > 12_000_000
      }
      #expect(try await bridge.metric("martlet_bridge_broker_bound_bytes") == Double(20 << 20))
      #expect(bridge.logText.contains("more than half of what it may keep"))
      try await stack.kafka.restart()
      #expect(try await stack.firsts(of: device.id, count: count) == (0..<Int64(count)).map { $0 })
      try await eventually("and that it is over") { bridge.logText.contains("the broker has room again") }
    }
  }
}
