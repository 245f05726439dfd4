import Foundation
import TestSupport
import Testing
import Wire

extension EndToEnd {
  @Suite struct BacklogTests {
    /// More than the 10,000 messages after which the broker once dropped what it had acknowledged.
    @Test(.enabled(if: KafkaServer.isReal)) func kafkaIsAwayForLong() async throws {
      let stack = try await BridgeStack.make(ownKafka: true)
      let bridge = try await stack.startBridge()
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
      try await stack.kafka.restart()
      #expect(try await stack.firsts(of: device.id, count: count) == (0..<Int64(count)).map { $0 })
    }
  }
}
