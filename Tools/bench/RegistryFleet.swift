import AsyncHTTPClient
import FoundationEssentials
import HTTP
import Loop
import Observability
import Postgres
import Runtime
import Wire

/// The devices of one organisation, as many as one likes, written straight into the registry's tables: only looking at them is
/// measured.
actor RegistryFleet {
  private nonisolated let tenant: BenchTenant
  /// The time that the ids of all carry, in milliseconds.
  private nonisolated let born: Int64
  private let database: PostgresClient
  private let running: Task<Void, any Error>
  private(set) var count = 0

  static func make(
    _ settings: RegistrySettings, _ client: HTTPClient, _ loop: EventLoop, _ logger: Logger
  ) async throws -> RegistryFleet {
    let tenant = try await BenchTenant.make(
      settings.stack, client,
      metadataFields: [["name": "site", "required": true], ["name": "serial", "required": false]])
    return RegistryFleet(tenant, try settings.stack.database("registry", on: loop, logger))
  }

  private init(_ tenant: BenchTenant, _ database: PostgresClient) {
    (self.tenant, self.database) = (tenant, database)
    born = Int64(Date.now.timeIntervalSince1970 * 1000)
    running = Task { try await database.run() }
  }

  deinit { running.cancel() }

  nonisolated var run: String { tenant.run }
  nonisolated var key: String { tenant.caller.key }
  nonisolated var board: UUID { tenant.board }
  nonisolated var soc: String { tenant.soc }

  nonisolated func deviceId(_ number: Int) -> String { run + Self.hex(number, digits: 10) }
  nonisolated func mcuId(_ number: Int) -> String { "bench-\(run)-\(number)" }
  nonisolated func serial(_ number: Int) -> String { "\(run)-\(number)" }

  /// UUIDv7, in the order of the numbers.
  nonisolated func id(_ number: Int) -> UUID {
    let time = Self.hex(Int(born), digits: 12)
    let text = "\(time.prefix(8))-\(time.suffix(4))-7000-8000-\(Self.hex(number, digits: 12))"
    return UUID(text: text) ?? UUID()
  }

  private static func hex(_ number: Int, digits: Int) -> String {
    let text = String(number, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
  }

  /// Makes devices until there are so many.
  func grow(to goal: Int) async throws {
    let start = String(id(0).text.dropLast(12))
    while count < goal {
      let (first, last) = (Int64(count), Int64(min(count + 50_000, goal) - 1))
      try await database.query(
        """
        WITH made AS (
          INSERT INTO device (id, created_at, updated_at, mcu_id, board_id, soc, organisation_id, device_id, metadata, name, rev)
          SELECT (\(start) || lpad(to_hex(n), 12, '0'))::uuid, to_timestamp(\(Double(born) / 1000)), now(),
            'bench-' || \(run) || '-' || n, \(board), \(soc), \(tenant.organisation), \(run) || lpad(to_hex(n), 10, '0'),
            jsonb_build_object('site', 'site-' || n % 1000, 'serial', \(run) || '-' || n), 'Device ' || n, 1
          FROM generate_series(\(first), \(last)) n RETURNING id, device_id, metadata
        ), states AS (
          INSERT INTO device_state (device_id, id, organisation_id, created_at, updated_at, attributes)
          SELECT device_id, id, \(tenant.organisation), now(), now(), '{}' FROM made
        )
        INSERT INTO device_metadata (device, organisation, board, name, value, is_unique)
        SELECT id, \(tenant.organisation), \(board), key, value, false FROM made, jsonb_each_text(metadata)
        """)
      count = Int(last) + 1
    }
    try await database.query("ANALYZE device")
    try await database.query("ANALYZE device_metadata")
    try await database.query("ANALYZE device_state")
  }
}
