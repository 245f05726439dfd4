import AsyncHTTPClient
import FoundationEssentials
import HTTP
import Kafka
import Loop
import Observability
import Postgres
import Runtime
import Wire

/// What to measure of the registry.
struct RegistrySettings: Sendable {
  let stack: StackSettings
  let registryURL: String
  let kafka: String
  let few: Int
  let devices: Int
  let imported: Int
  let states: Int

  init(_ settings: inout SettingsReader) {
    stack = StackSettings(&settings)
    registryURL = settings.string("registry-url", help: "The registry's own address, for its metrics.")
    kafka = settings.string("kafka-bootstrap", help: "Kafka's address: states are put on the uplink topic.")
    few = settings.int("few", default: 10_000, in: 1000...1_000_000, help: "How many devices to begin with.")
    devices = settings.int(
      "devices", default: 1_000_000, in: 10_000...10_000_000, help: "And how many then.")
    imported = settings.int(
      "imported", default: 100_000, in: 1...100_000, help: "How many an import makes.")
    states = settings.int(
      "states", default: 100_000, in: 1...10_000_000, help: "How many state messages are taken in.")
  }
}

/// The registry with few devices and with many, in one run: what a look-up and a page cost must not depend on that.
struct RegistryBench: Sendable {
  let settings: RegistrySettings
  let client: HTTPClient
  let fleet: RegistryFleet
  let logger: Logger
  let loop: EventLoop

  private static let looks = 2000
  private static let workers = 4

  static func run(_ settings: RegistrySettings, on loop: EventLoop) async throws {
    let logger = Logger(label: "bench", level: .warning)
    let client = HTTPClient(
      configuration: HTTPClientConfiguration(maximumConnections: 16, timeout: .seconds(300)), logger: logger)
    let fleet = try await RegistryFleet.make(settings, client, loop, logger)
    let bench = RegistryBench(settings: settings, client: client, fleet: fleet, logger: logger, loop: loop)
    try await bench.measure()
    await client.shutdown()
  }

  private func measure() async throws {
    try await fleet.grow(to: settings.few)
    let few = try await looks("with \(settings.few) devices")
    let memory = ProcessMemory.resident(settings.stack.runFolder, "registry")
    Program.print("filling up to \(settings.devices) devices …")
    try await fleet.grow(to: settings.devices)
    let many = try await looks("with \(settings.devices) devices")
    for (a, b) in zip(few, many) { Program.print("  \(b.name): p99 \(b.ratio(to: a)) times") }
    try await pages()
    try await importRows()
    try await takeStates()
    Program.print(
      "memory of the registry: \(memory / 1024) MB before, \(ProcessMemory.resident(settings.stack.runFolder, "registry") / 1024) MB after"
    )
  }

  /// A kind of request and how long it took.
  private struct Look: Sendable {
    let name: String
    let p50: Duration
    let p99: Duration

    func ratio(to other: Look) -> String {
      let tenths = Int(((p99 / other.p99) * 10).rounded())
      return "\(tenths / 10).\(tenths % 10)"
    }
  }

  private func looks(_ title: String) async throws -> [Look] {
    Program.print("\(title):")
    let kinds: [(String, @Sendable (Int) -> String)] = [
      ("by record id", { "/device/id/\(fleet.id($0).text)" }),
      ("by deviceId", { "/device/deviceId/\(fleet.deviceId($0))" }),
      ("by SoC and mcuId", { "/device/soc/\(fleet.soc)/mcuId/\(fleet.mcuId($0))" }),
      ("state", { "/device/deviceId/\(fleet.deviceId($0))/state" }),
      ("filter by metadata", { "/device?limit=10&filter=metadata.serial==\(fleet.serial($0))" }),
      ("page 1 of 100", { _ in "/device?limit=100" }),
    ]
    var found: [Look] = []
    for (name, path) in kinds {
      let times = try await times(path)
      let look = Look(name: name, p50: times[times.count / 2], p99: times[times.count * 99 / 100])
      Program.print(
        "  \(name): p50 \(Measurement.milliseconds(look.p50)) p99 \(Measurement.milliseconds(look.p99)) ms")
      found.append(look)
    }
    return found
  }

  /// Of requests for devices all over the fleet, a few at a time, sorted.
  private func times(_ path: @escaping @Sendable (Int) -> String) async throws -> [Duration] {
    let count = await fleet.count
    return try await withThrowingTaskGroup(of: [Duration].self) { group in
      for worker in 0..<Self.workers {
        group.addTask {
          var times: [Duration] = []
          for number in 0..<(Self.looks / Self.workers) {
            let start = ContinuousClock.now
            // A large step that is prime to the number of devices comes by all of them.
            _ = try await get(path((number * Self.workers + worker) * 7_919 % count))
            times.append(.now - start)
          }
          return times
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }.sorted()
    }
  }

  private func get(_ path: String) async throws -> HTTPClientResponse {
    let answer = try await client.execute(
      .get, url: path.hasPrefix("http") ? path : settings.stack.url + path, headers: ["X-API-Key": fleet.key])
    guard answer.status == 200 else {
      throw Refused(path: path, status: answer.status, body: String(decoding: answer.body, as: UTF8.self))
    }
    return answer
  }

  /// Walks along the list to its end, and compares the pages there with the first.
  private func pages() async throws {
    var next: String? = "/device?limit=1000"
    var (count, last): (Int, String?) = (0, nil)
    let start = ContinuousClock.now
    while let path = next {
      let answer = try await get(path)
      (count, last) = (count + 1, next)
      next = answer.headers["Link"].flatMap(Self.target)
    }
    Program.print("walked \(count) pages of 1000 in \((ContinuousClock.now - start) / .seconds(1)) s")
    func median(_ path: String) async throws -> Duration {
      var times: [Duration] = []
      for _ in 0..<101 {
        let start = ContinuousClock.now
        _ = try await get(path)
        times.append(.now - start)
      }
      return times.sorted()[50]
    }
    // The last whole page but one, cut to 100: page 10,000 of a million.
    let far = (last ?? "").replacing("limit=1000", with: "limit=100")
    let (first, deep) = (try await median("/device?limit=100"), try await median(far))
    Program.print(
      "page 1: \(Measurement.milliseconds(first)) ms, page \(count * 10): \(Measurement.milliseconds(deep)) ms"
    )
  }

  private static func target(of link: String) -> String? {
    guard let start = link.firstIndex(of: "<"), let end = link.firstIndex(of: ">") else { return nil }
    return String(link[link.index(after: start)..<end])
  }

  private func importRows() async throws {
    // With the first the JVM compiles what Kafka does for it.
    for (file, pass) in [("a", "made, Kafka cold"), ("b", "made"), ("b", "unchanged")] {
      let rows = (0..<settings.imported).map { number in
        JSON.object([
          "mcuId": .string("import-\(file)-\(fleet.run)-\(number)"), "boardId": .string(fleet.board.text),
          "metadata": [
            "site": .string("site-\(number % 100)"), "serial": .string("import-\(file)-\(number)"),
          ],
        ]).text
      }
      let before = ProcessTimes.read(settings.stack.runFolder)
      let start = ContinuousClock.now
      let answer = try await client.execute(
        .post, url: settings.stack.url + "/device/import",
        headers: ["X-API-Key": fleet.key, "Content-Type": "application/x-ndjson"],
        body: Array(rows.joined(separator: "\n").utf8))
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      guard answer.status == 200 else {
        throw Refused(
          path: "/device/import", status: answer.status, body: String(decoding: answer.body, as: UTF8.self))
      }
      Program.print(
        "import of \(rows.count) rows, \(pass): \(Int(Double(rows.count) / seconds)) a second, \(cpu(since: before, of: rows.count))"
      )
    }
  }

  /// State messages as the bridge puts them on the topic, each of another device, until the registry has them.
  private func takeStates() async throws {
    let producer = try KafkaProducer(
      configuration: KafkaConfiguration(bootstrapServers: settings.kafka, clientId: "bench"), loop: loop,
      logger: logger)
    let (before, cpu) = (try await applied(), ProcessTimes.read(settings.stack.runFolder))
    let encoder = EventEncoder(service: "bench")
    let start = ContinuousClock.now
    for part in 0..<(settings.states / 1000) {
      let events = (0..<1000).map { number in
        Uplink.state(DeviceState(attributes: ["battery": .int(Int64(number % 100))])).event(
          deviceId: fleet.deviceId((part * 1000 + number) % settings.devices), traceparent: nil)
      }
      let now = Date.now
      _ = try await producer.send(
        encoder.messages(events.count) { (events[$0], UUID.v7().text, now) })
    }
    let sent = settings.states / 1000 * 1000
    while try await applied() < before + sent { try await loop.sleep(for: .milliseconds(50)) }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    Program.print(
      "\(sent) state messages: \(Int(Double(sent) / seconds)) a second, \(self.cpu(since: cpu, of: sent))")
    await producer.shutdown(timeout: .seconds(2))
  }

  private func cpu(since before: ProcessTimes, of count: Int) -> String {
    let after = ProcessTimes.read(settings.stack.runFolder)
    return ["registry", "postgres", "kafka", "config", "commands"].map { name in
      let used = (after.seconds[name] ?? 0) - (before.seconds[name] ?? 0)
      return "\(name) \(Int((used * 1e6 / Double(count)).rounded()))"
    }.joined(separator: ", ") + " µs of CPU each"
  }

  /// How many uplink records the registry has applied.
  private func applied() async throws -> Int {
    let text = String(decoding: try await get(settings.registryURL + "/metrics").body, as: UTF8.self)
    let name = #"martlet_consumer_records_total{consumer="state"} "#
    return text.split(separator: "\n").first { $0.hasPrefix(name) }
      .flatMap { Int($0.dropFirst(name.count)) } ?? 0
  }
}

/// What a process of the stack holds in memory.
enum ProcessMemory {
  /// In kB; 0 if it does not run.
  static func resident(_ folder: String, _ service: String) -> Int {
    guard let pid = try? String(contentsOfFile: "\(folder)/\(service).pid", encoding: .utf8),
      let text = try? String(
        contentsOfFile: "/proc/\(pid.trimmingPrefix { $0.isWhitespace }.prefix { $0.isNumber })/status",
        encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") })
    else { return 0 }
    return line.split(separator: " ").lazy.compactMap { Int($0) }.first ?? 0
  }
}
