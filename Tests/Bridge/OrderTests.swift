import Foundation
import TestSupport
import Testing
import Wire

extension EndToEnd {
  @Suite struct OrderTests {
    /// Replicas come and go in every way while a device speaks: what it said first stands first.
    @Test func whateverReplicasComeAndGo() async throws {
      let stack = try await BridgeStack.make()
      let first = try await stack.startBridge("1")
      let second = try await stack.startBridge("2")
      defer { first.process.stop() }
      let device = try await stack.device(topics: [])
      let count = 5000
      let sending = Task {
        for start in stride(from: 0, to: count, by: 50) {
          try await device.send(numbers: start..<(start + 50))
          try await Task.sleep(for: .milliseconds(100))
        }
      }
      func there(_ number: Int) async throws {
        try await eventually("\(number) are there", within: 30) {
          stack.records.all(.deviceUplink, key: device.id).count >= number
        }
      }
      try await there(300)
      second.process.stop(SIGKILL)
      let third = try await stack.startBridge("3")
      try await there(1000)
      // In order, then both of those that are left at once.
      third.process.stop()
      let fourth = try await stack.startBridge("4")
      defer { fourth.process.stop() }
      first.process.stop(SIGKILL)
      let fifth = try await stack.startBridge("5")
      defer { fifth.process.stop() }
      try await sending.value
      #expect(try await stack.firsts(of: device.id, count: count) == (0..<Int64(count)).map { $0 })
    }
  }
}
