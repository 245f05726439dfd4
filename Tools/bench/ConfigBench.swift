import AsyncHTTPClient
import FoundationEssentials
import HTTP
import Loop
import Observability
import Postgres
import Runtime
import Wire

/// What to measure of the config service.
struct ConfigBenchSettings: Sendable {
  let stack: StackSettings
  let mqtt: MqttBenchSettings
  let devices: Int

  init(_ settings: inout SettingsReader) {
    stack = StackSettings(&settings)
    mqtt = MqttBenchSettings(&settings)
    devices = settings.int(
      "devices", default: 100_000, in: 100...1_000_000, help: "How many devices the board has.")
  }
}

/// A board with many devices: what it takes to plan a binding for all of them, to bind, and to hand all their documents to Kafka.
///
/// The devices are written straight into the service's copy of the registry. They are deleted with `make clean`.
struct ConfigBench: Sendable {
  let settings: ConfigBenchSettings
  let tenant: BenchTenant
  let database: PostgresClient
  let loop: EventLoop

  static func run(_ settings: ConfigBenchSettings, on loop: EventLoop) async throws {
    let logger = Logger(label: "bench", level: .warning)
    let client = HTTPClient(
      configuration: HTTPClientConfiguration(maximumConnections: 16, timeout: .seconds(300)), logger: logger)
    let tenant = try await BenchTenant.make(settings.stack, client)
    let database = try settings.stack.database("config", on: loop, logger)
    let pool = loop.task(throwing: { try await database.run() })
    defer { pool.cancel() }
    let bench = ConfigBench(settings: settings, tenant: tenant, database: database, loop: loop)
    try await bench.measure()
    await client.shutdown()
  }

  private func measure() async throws {
    Program.print("making \(settings.devices) devices …")
    try await database.query(
      """
      INSERT INTO directory_device (id, device_id, mcu_id, soc, board_id, organisation_id, rev)
      SELECT gen_random_uuid(), \(tenant.run) || lpad(to_hex(n), 10, '0'), 'bench-' || \(tenant.run) || '-' || n, 'bench', \(tenant.board),
        \(tenant.organisation), 1
      FROM generate_series(1, \(settings.devices)) n
      """)
    let (first, second) = (try await artefact(1), try await artefact(2))
    try await timed("plan over all of them") {
      let body: JSON = ["changes": [binding("DEVICE_PROFILE", tenant.board.text, first)]]
      let plan = try await tenant.caller.post("/api/v1/desired-state-bindings/plan", body)
      guard plan["total"]?.int == Int64(settings.devices) else {
        throw Refused(path: "plan", status: 201, body: "total \(plan["total"]?.text ?? "?")")
      }
    }
    let before = ProcessMemory.resident(settings.stack.runFolder, "config")
    var id = ""
    for (what, artefact, revision) in [("bound", first, 1), ("bound anew", second, 2)] {
      let start = ContinuousClock.now
      id = try await put(binding("DEVICE_PROFILE", tenant.board.text, artefact))
      try await wait(
        for: "SELECT count(*) FROM device_configuration WHERE organisation_id = $ AND revision = \(revision)")
      Program.print("\(what): all documents made in \((ContinuousClock.now - start) / .seconds(1)) s")
      try await drained()
      Program.print("\(what): all of them in Kafka after \((ContinuousClock.now - start) / .seconds(1)) s")
    }
    try await timed("convergence of all of them") {
      _ = try await get("/api/v1/desired-state-bindings/\(id)")
    }
    Program.print(
      "memory of config: \(before / 1024) MB before, \(ProcessMemory.resident(settings.stack.runFolder, "config") / 1024) MB after"
    )
    try await single()
    try await reports()
  }

  func artefact(_ number: Int) async throws -> JSON {
    try await tenant.caller.post(
      "/api/v1/config-artefacts",
      [
        "slot": "wifi", "profile": ["type": "DEVICE_PROFILE", "id": .string(tenant.board.text)],
        "content": ["ssid": "bench", "number": .int(Int64(number)), "channels": [1, 6, 11]],
      ])["id"] ?? .null
  }

  func binding(_ type: String, _ id: String, _ artefact: JSON) -> JSON {
    ["target": ["type": .string(type), "id": .string(id)], "slot": "wifi", "artefactId": artefact]
  }

  func put(_ body: JSON) async throws -> String {
    let path = "/api/v1/desired-state-bindings"
    let answer = try await tenant.caller.client.execute(
      .put, url: settings.stack.url + path,
      headers: ["X-API-Key": tenant.caller.key, "Content-Type": "application/json"], body: body.bytes)
    guard (200...201).contains(answer.status), let id = try JSON(parsing: answer.body)["id"]?.string else {
      throw Refused(path: path, status: answer.status, body: String(decoding: answer.body, as: UTF8.self))
    }
    return id
  }

  private func get(_ path: String) async throws -> JSON {
    let answer = try await tenant.caller.client.execute(
      .get, url: settings.stack.url + path, headers: ["X-API-Key": tenant.caller.key])
    guard answer.status == 200 else { throw Refused(path: path, status: answer.status, body: "") }
    return try JSON(parsing: answer.body)
  }

  private func timed(_ what: String, _ body: () async throws -> Void) async throws {
    let start = ContinuousClock.now
    try await body()
    Program.print("\(what): \((ContinuousClock.now - start) / .seconds(1)) s")
  }

  /// Waits until as many rows of this run are there as there are devices.
  func wait(for query: String) async throws {
    let query = PostgresQuery(unsafeSQL: query.replacing("$", with: "'\(tenant.organisation.text)'"))
    while try await database.query(query).first?.decode(Int.self) != settings.devices {
      try await loop.sleep(for: .milliseconds(100))
    }
  }

  private func drained() async throws {
    while try await database.query("SELECT count(*) FROM outbox").first?.decode(Int.self) != 0 {
      try await loop.sleep(for: .milliseconds(100))
    }
  }
}
