import AsyncHTTPClient
import FoundationEssentials
import HTTP
import Kafka
import Loop
import Observability
import Runtime
import Wire

/// What to measure.
struct BenchSettings: Sendable {
  let url: String
  let kafka: String
  let databaseURL: String
  let mqtt: MqttBenchSettings
  let folder: String
  let runFolder: String
  let seconds: Int
  let inFlight: Int
  let rate: Int
  let parts: String

  init(_ settings: inout SettingsReader) {
    url = settings.string("url", help: "The edge's address.")
    kafka = settings.string(
      "kafka-bootstrap", help: "Kafka's address: SUCCESS is seen on martlet.commands.events.")
    databaseURL = settings.secret("database-url", help: "PostgreSQL, for the raw hops.")
    mqtt = MqttBenchSettings(&settings)
    folder = settings.string(
      "folder", default: ".run/bench", help: "Where `prepare` left devices.txt and key.txt.")
    runFolder = settings.string("run", default: ".run", help: "Where the pid files are.")
    seconds = settings.int("seconds", default: 20, in: 1...3600, help: "How long each part measures.")
    inFlight = settings.int(
      "in-flight", default: 256, in: 1...4096, help: "Commands under way in the closed loop.")
    rate = settings.int("rate", default: 200, in: 1...100_000, help: "Commands a second in the open loop.")
    parts = settings.string("parts", default: "closed,open", help: "What to measure: closed, open, or both.")
  }
}

/// Whole lifecycles, from POST through PostgreSQL, Kafka, MQTT and the device to SUCCESS stored and told.
struct CommandsBench: Sendable {
  let settings: BenchSettings
  let caller: Caller
  let devices: [String]
  let watcher: SuccessWatcher

  static func run(_ settings: BenchSettings, on loop: EventLoop) async throws {
    let logger = Logger(label: "bench", level: .warning)
    let devices = try lines(settings.folder + "/devices.txt")
    let key = try lines(settings.folder + "/key.txt")[0]
    let client = HTTPClient(
      configuration: HTTPClientConfiguration(maximumConnections: 128, timeout: .seconds(30)),
      logger: logger)
    let watcher = try await SuccessWatcher(kafka: settings.kafka, loop: loop, logger: logger)
    let watching = Task { try await watcher.run() }
    defer { watching.cancel() }
    try await watcher.ready()
    let bench = CommandsBench(
      settings: settings, caller: Caller(client: client, url: settings.url, key: key), devices: devices,
      watcher: watcher)
    let hops = try await RawHops.measure(settings, on: loop, logger: logger)
    Program.print(hops.line)
    Program.print("warming up")
    _ = try await bench.openLoop(3)
    if settings.parts.contains("closed") {
      try await bench.measure("closed loop, \(settings.inFlight) in flight", hops, bench.closedLoop)
    }
    if settings.parts.contains("open") {
      try await bench.measure("open loop, \(settings.rate)/s", hops, bench.openLoop)
    }
    await client.shutdown()
  }

  private func measure(_ name: String, _ hops: RawHops, _ loop: (Int) async throws -> Measurement)
    async throws
  {
    let before = ProcessTimes.read(settings.runFolder)
    let measured = try await loop(settings.seconds)
    let after = ProcessTimes.read(settings.runFolder)
    Program.print(measured.line(name, hops))
    Program.print(ProcessTimes.table(before, after, per: measured.latencies.count))
  }

  private static func lines(_ path: String) throws -> [String] {
    String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self).split(separator: "\n").map(
      String.init)
  }

  /// Each of `inFlight` callers sends its next command when its last one has reached SUCCESS.
  private func closedLoop(_ seconds: Int) async throws -> Measurement {
    let start = ContinuousClock.now
    let end = start + .seconds(seconds)
    let latencies = try await withThrowingTaskGroup(of: [Latency].self) { group in
      for number in 0..<settings.inFlight {
        group.addTask {
          var latencies: [Latency] = []
          var device = number
          while ContinuousClock.now < end {
            latencies.append(try await lifecycle(devices[device % devices.count]))
            device += settings.inFlight
          }
          return latencies
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    return Measurement(latencies: latencies, elapsed: ContinuousClock.now - start)
  }

  /// A command each 1/rate s, whether or not those before are done.
  private func openLoop(_ seconds: Int) async throws -> Measurement {
    let start = ContinuousClock.now
    let latencies = try await withThrowingTaskGroup(of: Latency.self) { group in
      for number in 0..<(settings.rate * seconds) {
        try await Task.sleep(
          until: start + .microseconds(number * 1_000_000 / settings.rate), clock: .continuous)
        group.addTask { try await lifecycle(devices[number % devices.count]) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    return Measurement(latencies: latencies, elapsed: ContinuousClock.now - start)
  }

  private func lifecycle(_ device: String) async throws -> Latency {
    let (start, began) = (Date.now, ContinuousClock.now)
    let command = try await caller.post("/api/v1/devices/\(device)/commands", ["type": "REBOOT"])
    let stored = try await watcher.success(of: command["id"]?.string ?? "")
    return Latency(
      stored: .seconds(stored.timeIntervalSince(start)), told: ContinuousClock.now - began)
  }
}

/// From the POST of a command until its SUCCESS was stored, and until the public event was here.
struct Latency: Sendable {
  let stored: Duration
  let told: Duration
}

/// What a part of the measurement gave.
struct Measurement: Sendable {
  let latencies: [Latency]
  let elapsed: Duration

  func line(_ name: String, _ hops: RawHops) -> String {
    let told = latencies.map(\.told).sorted()
    let sorted = latencies.map(\.stored).sorted()
    func value(_ share: Double) -> Duration? {
      sorted.isEmpty ? nil : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
    func quantile(_ share: Double) -> String { value(share).map(Self.milliseconds) ?? "-" }
    let multiple = value(0.5).map { "\(Int(($0 / hops.command).rounded()))" } ?? "-"
    let rate = Int(Double(latencies.count) / (elapsed / .seconds(1)))
    return "\(name): \(rate) lifecycles/s; POST to stored SUCCESS p50 \(quantile(0.5)) p95 \(quantile(0.95)) "
      + "p99 \(quantile(0.99)) max \(quantile(1)) ms (\(latencies.count) commands); "
      + "p50 is \(multiple) times the raw way; told p50 "
      + (told.isEmpty ? "-" : Self.milliseconds(told[told.count / 2])) + " ms"
  }

  static func milliseconds(_ duration: Duration) -> String {
    let hundredths = Int((duration / .milliseconds(1)) * 100)
    return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
  }
}
