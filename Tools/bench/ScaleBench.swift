import AsyncHTTPClient
import FoundationEssentials
import HTTP
import Loop
import Observability
import Postgres
import Runtime
import Wire

/// Commands in great numbers: a campaign to a fleet that is not connected, with a rate and without one, and deadlines beside
/// few and many open commands. Devices and open commands are written straight into the tables; `make clean` drops them.
struct ScaleBench: Sendable {
  let settings: ScaleSettings
  let tenant: BenchTenant
  let database: PostgresClient
  let loop: EventLoop

  static func run(_ settings: ScaleSettings, on loop: EventLoop) async throws {
    let logger = Logger(label: "bench", level: .warning)
    let client = HTTPClient(
      configuration: HTTPClientConfiguration(maximumConnections: 16, timeout: .seconds(120)), logger: logger)
    let tenant = try await BenchTenant.make(settings.stack, client)
    let database = try settings.stack.database("commands", on: loop, logger)
    let running = loop.task(throwing: { try await database.run() })
    defer { running.cancel() }
    let bench = ScaleBench(settings: settings, tenant: tenant, database: database, loop: loop)
    try await bench.makeDevices()
    let half = settings.devices / 2
    try await bench.campaign(named: "as fast as it goes", first: 0, count: half, rate: nil)
    try await bench.campaign(
      named: "\(settings.rate) a minute", first: half, count: settings.devices - half, rate: settings.rate)
    try await bench.deadlines()
    await client.shutdown()
  }

  /// Into the copy of the registry that the commands service has: nobody else is asked.
  private func makeDevices() async throws {
    for first in stride(from: 0, to: settings.devices, by: 50_000) {
      let last = Int64(min(first + 50_000, settings.devices) - 1)
      try await database.query(
        """
        INSERT INTO directory_device (id, device_id, mcu_id, soc, board_id, organisation_id, group_ids, rev)
        SELECT gen_random_uuid(), \(tenant.run) || lpad(to_hex(n), 10, '0'), \(tenant.run) || '-' || n, 'scale', \(tenant.board),
          \(tenant.organisation), ARRAY[lpad(to_hex(n * 2 / \(Int64(settings.devices))), 32, '0')::uuid], 1
        FROM generate_series(\(Int64(first)), \(last)) n
        """)
    }
    for half in 0..<2 {
      try await database.query(
        """
        INSERT INTO directory_group (id, organisation_id, name, rev)
        VALUES (\(Self.group(half)), \(tenant.organisation), 'half', 1) ON CONFLICT (id) DO UPDATE SET organisation_id = EXCLUDED.organisation_id
        """)
    }
    try await database.query("ANALYZE directory_device")
  }

  private static func group(_ half: Int) -> UUID {
    UUID(text: "00000000-0000-0000-0000-00000000000\(half)") ?? UUID()
  }

  private func campaign(named name: String, first: Int, count: Int, rate: Int?) async throws {
    let target: JSON = ["type": "DEVICE_GROUP", "id": .string(Self.group(first == 0 ? 0 : 1).text)]
    let start = ContinuousClock.now
    let made = try await tenant.caller.post(
      "/api/v1/commands/bulk",
      .compact([
        "target": target, "type": "REBOOT", "timeouts": ["deliverSeconds": 3600],
        "ratePerMinute": rate.map { .int(Int64($0)) },
      ]))
    let answered = ContinuousClock.now - start
    guard let id = made["id"]?.string, made["total"]?.int == Int64(count) else {
      throw Refused(path: "/api/v1/commands/bulk", status: 202, body: made.text)
    }
    let before = ProcessMemory.resident(settings.stack.runFolder, "commands")
    var (most, waiting) = (before, Int64.max)
    while waiting > 0 {
      try await loop.sleep(for: .milliseconds(500))
      let answer = try await tenant.caller.client.execute(
        .get, url: settings.stack.url + "/api/v1/commands/bulk/\(id)",
        headers: ["X-API-Key": tenant.caller.key])
      waiting = try JSON(parsing: answer.body)["counts"]?["waiting"]?.int ?? 0
      most = max(most, ProcessMemory.resident(settings.stack.runFolder, "commands"))
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    Program.print(
      "a campaign to \(count) devices, \(name): answered in \(Measurement.milliseconds(answered)) ms, "
        + "\(Int(Double(count) / seconds)) commands/s, memory of commands \(before / 1024) MB, at most \(most / 1024) MB"
    )
    if let rate { try await report(rate, of: id) }
    let ended = ContinuousClock.now
    _ = try await tenant.caller.post("/api/v1/commands/bulk/\(id)/cancel", [:])
    Program.print("  its cancel was answered in \(Measurement.milliseconds(ContinuousClock.now - ended)) ms")
  }

  /// How far from its rate any minute was.
  private func report(_ rate: Int, of id: String) async throws {
    let tenths = try await database.query(
      """
      SELECT (extract(epoch FROM created_at) * 10)::bigint, count(*) FROM command WHERE bulk_id = \(UUID(text: id))
      GROUP BY 1 ORDER BY 1
      """
    ).decode((Int64, Int64).self)
    guard let first = tenths.first?.0, let last = tenths.last?.0, last - first > 610 else {
      Program.print("  it took less than a minute: its rate cannot be told")
      return
    }
    var counts = [Int64](repeating: 0, count: Int(last - first + 1))
    for (time, count) in tenths { counts[Int(time - first)] = count }
    let minutes = (0...(counts.count - 600)).map { counts[$0..<($0 + 600)].reduce(0, +) }
    let error = minutes.map { abs(Double($0) / Double(rate) - 1) }.max() ?? 0
    Program.print("  any minute's rate was at most \(Int((error * 1000).rounded()))‰ from \(rate)")
  }
}
