import Foundation
import Kafka
import Synchronization
import TestSupport
import Testing
import Wire

/// Not tests but measurements, printed: `MARTLET_MEASURE=1 swift test --filter BridgeTests.Measure`, with the programs to
/// measure in the folder `MARTLET_MEASURE_BIN` (a release build) and `perf` on the path.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["MARTLET_MEASURE"] != nil))
struct Measure {
  /// Counts what comes on the uplink topic.
  private final class Count: Sendable {
    private let records = Atomic(0)
    private let consumer: KafkaConsumer

    init(_ stack: BridgeStack) async throws {
      let configuration = KafkaConfiguration(
        bootstrapServers: stack.kafka.bootstrapServers, clientId: "count")
      let admin = try KafkaAdmin(configuration: configuration, loop: stack.loop, logger: BridgeStack.logger)
      let ends = try await admin.endOffsets(topic: KafkaTopic.deviceUplink.rawValue)
      let starts = Dictionary(
        uniqueKeysWithValues: ends.map {
          (KafkaPartition(topic: KafkaTopic.deviceUplink.rawValue, partition: $0.key), $0.value)
        })
      consumer = try KafkaConsumer(
        configuration: configuration, loop: stack.loop, group: "count-\(UUID().uuidString)", instanceId: nil,
        topics: [KafkaTopic.deviceUplink.rawValue], logger: BridgeStack.logger, startOffsets: { _ in starts })
      Task { [weak self, consumer] in
        while self != nil {
          let batch = try? await consumer.nextBatch(maximumCount: 1000, wait: .seconds(1))
          self?.records.add(batch?.count ?? 0, ordering: .relaxed)
        }
      }
      try await eventually("the counter has its partitions") { [consumer] in !consumer.assignment.isEmpty }
    }

    var value: Int { records.load(ordering: .relaxed) }
  }

  /// What `perf stat` counts of a process while `body` runs.
  private func report(
    _ what: String, _ count: Int, _ processes: [(String, pid_t)], _ body: () async throws -> Void
  )
    async throws
  {
    let folder = try RunFolder.make("perf")
    let perfs = try processes.map { name, pid in
      try ChildProcess(
        [
          "perf", "stat", "-x,", "-o", folder.appending(path: name).path, "-e",
          "task-clock,context-switches,raw_syscalls:sys_enter", "-p", "\(pid)",
        ], log: folder.appending(path: "\(name).log"))
    }
    try await Task.sleep(for: .milliseconds(300))
    let start = ContinuousClock.now
    try await body()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    for perf in perfs { perf.stop(SIGINT) }
    var line = "MEASURED \(what): \(Int(Double(count) / seconds))/s;"
    for (name, _) in processes {
      let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
      let values = text.split(separator: "\n").compactMap { Double($0.split(separator: ",").first ?? "") }
      guard values.count == 3 else { continue }
      line += String(
        format: " %@ %.0f µs, %.1f switches, %.1f system calls;", name, values[0] / Double(count) * 1000,
        values[1] / Double(count), values[2] / Double(count))
    }
    print(line)
  }

  @Test func whatALifecycleCosts() async throws {
    let stack = try await BridgeStack.make()
    let bin = ProcessInfo.processInfo.environment["MARTLET_MEASURE_BIN"] ?? ""
    let bridge = try await stack.startBridge()
    defer { bridge.process.stop() }
    let devices = (0..<100).map { _ in Identifier.randomDeviceId() }
    let folder = try RunFolder.make("simulate")
    let list = folder.appending(path: "devices")
    try devices.joined(separator: "\n").write(to: list, atomically: true, encoding: .utf8)
    let log = folder.appending(path: "simulate.log")
    let simulator = try ChildProcess(
      [
        bin + "/martlet", "simulate", "--mqtt-port", "\(stack.mosquitto.port)", "--devices-file", list.path,
        "--log", folder.appending(path: "events").path,
      ], log: log)
    defer { simulator.stop() }
    let count = try await Count(stack)
    // Each device says that it is there.
    try await eventually("all devices are connected") { count.value >= devices.count }
    let mosquitto = try #require(stack.mosquitto.pid)
    let processes = [
      ("bridge", bridge.process.pid), ("simulator", simulator.pid), ("mosquitto", mosquitto),
      ("kafka", try #require(stack.kafka.pid)),
    ]
    func goal(_ records: Int) async throws {
      while count.value < records { try await Task.sleep(for: .milliseconds(2)) }
    }
    func commands(_ first: Int, _ number: Int) -> [(device: String, downlink: Downlink)] {
      (first..<(first + number)).map { (devices[$0 % devices.count], .command(command())) }
    }
    for round in 1...2 {
      var before = count.value
      try await report("\(round): 200/s, one by one", 2000, processes) {
        let start = ContinuousClock.now
        for number in 0..<2000 {
          try await Task.sleep(until: start + .milliseconds(5) * number)
          try await stack.send(commands(number, 1))
        }
        try await goal(before + 3 * 2000)
      }
      before = count.value
      try await report("\(round): closed loop, 500 in flight", 20_000, processes) {
        var sent = 0
        while sent < 20_000 {
          let room = min(20_000, (count.value - before) / 3 + 500) - sent
          if room < 50, sent + room < 20_000 {
            try await Task.sleep(for: .milliseconds(1))
            continue
          }
          try await stack.send(commands(sent, room))
          sent += room
        }
        try await goal(before + 3 * 20_000)
      }
    }
  }
}
