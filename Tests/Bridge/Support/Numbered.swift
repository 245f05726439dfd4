import Foundation
import MQTT
import Synchronization
import TestSupport
import Wire

/// One device's messages, numbered, and what of them is in Kafka.
extension TestDevice {
  /// Publishes `{"n":…}` for each number, in order, and again until the broker has acknowledged each.
  func send(numbers: Range<Int>, on topic: DeviceTopic = .state, padding: Int = 0) async throws {
    let pad = String(repeating: "x", count: padding)
    for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 50) {
      let messages = (start..<min(start + 50, numbers.upperBound)).map {
        MQTTMessage(topic: topic.of(id), payload: Array(#"{"n":\#($0),"pad":"\#(pad)"}"#.utf8))
      }
      for outcome in await session.publish(messages) { _ = try outcome.get() }
    }
  }
}

extension BridgeStack {
  /// The `n` of a device's states, as they stand in Kafka.
  func sequence(of device: String) -> [Int64] {
    records.uplinks(device).compactMap { uplink in
      if case .state(let state) = uplink { state.attributes["n"]?.int } else { nil }
    }
  }

  /// Waits until so many different numbers of the device are there, and gives them in the order in which each came
  /// first.
  func firsts(of device: String, count: Int, within seconds: Double = 60) async throws -> [Int64] {
    func distinct() -> [Int64] {
      var seen: Set<Int64> = []
      return sequence(of: device).filter { seen.insert($0).inserted }
    }
    do {
      try await eventually("\(count) numbers are in Kafka", within: seconds) {
        let records = records.all(.deviceUplink, key: device).count
        guard records >= count else { return false }
        return distinct().count >= count
      }
    } catch { throw TestSupportError("\(error); there are \(distinct().count)") }
    return distinct()
  }
}

extension Bridge {
  /// The value of one of its metrics, given with its labels.
  func metric(_ name: String) async throws -> Double {
    let lines = try await get("metrics").split(separator: "\n")
    let line = lines.first { $0.hasPrefix(name + " ") } ?? ""
    return line.split(separator: " ").last.flatMap { Double($0) } ?? .nan
  }

  /// What it has in memory, in bytes.
  func residentBytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
    return (line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
  }
}

/// A value that callbacks set and a test reads.
final class Mutexed<Value: Sendable>: Sendable {
  private let value: Mutex<Value>
  init(_ value: Value) { self.value = Mutex(value) }
  func set(_ new: Value) { value.withLock { $0 = new } }
  func get() -> Value { value.withLock { $0 } }
}
