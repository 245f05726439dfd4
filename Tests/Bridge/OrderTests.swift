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

    /// Each of three replicas in turn sleeps for longer than its lease, and wakes up with what it had in hand.
    @Test func whoeverSleeps() async throws {
      let stack = try await BridgeStack.make()
      var bridges: [Bridge] = []
      for replica in ["1", "2", "3"] { bridges.append(try await stack.startBridge(replica)) }
      defer { for bridge in bridges { bridge.process.stop() } }
      let device = try await stack.device(topics: [])
      let isDone = Mutexed(false)
      let sending = Task {
        var count = 0
        while !isDone.get() || count < 5000 {
          try await device.send(numbers: count..<(count + 50))
          count += 50
          try await Task.sleep(for: .milliseconds(isDone.get() ? 20 : 100))
        }
        return count
      }
      for _ in 0..<3 {
        let reader = try #require(Int(try await stack.owners()["state"] ?? ""))
        let sleeper = bridges[reader - 1].process
        sleeper.signal(SIGSTOP)
        try await eventually("another one reads") {
          let owner = try await stack.owners()["state"]
          return owner != "\(reader)" && owner != "-"
        }
        let before = stack.records.all(.deviceUplink, key: device.id).count
        try await eventually("and goes on") {
          stack.records.all(.deviceUplink, key: device.id).count > before + 200
        }
        sleeper.signal(SIGCONT)
        try await eventually("each has its share again") { try await stack.shares() == [1, 1, 1] }
      }
      isDone.set(true)
      let count = try await sending.value
      #expect(try await stack.firsts(of: device.id, count: count) == (0..<Int64(count)).map { $0 })
    }
  }
}
