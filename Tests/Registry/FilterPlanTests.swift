import Foundation
import Loop
import Observability
import Postgres
import TestSupport
import Testing
import Wire

@testable import FilterLanguage
@testable import RegistryDomain
@testable import RegistryService
@testable import Runtime

/// Which way PostgreSQL goes to the devices of a filter, among 200,000 of two organisations.
@Suite("Plans of filters")
struct FilterPlanTests {
  static let organisation = UUID(uuidString: "01970000-0000-7000-8000-000000000001") ?? UUID()

  static let common = Task {
    let loop = EventLoop.start("plans")
    let logger = Logger(label: "plans", level: .warning)
    let database = PostgresClient(
      configuration: try PostgresConfiguration(
        url: try await PostgresServer.shared().createDatabase("plans"), schema: "registry",
        applicationName: "tests", statementTimeout: .seconds(300)), loop: loop, logger: logger)
    for (set, migrations) in RegistryService.migrations {
      _ = try await database.migrate(migrations, set: set)
    }
    let running = Task { try await database.run() }
    try await database.withConnection { connection in
      // Foreign keys and counters are not what this is about.
      try await connection.execute(
        script: "SET session_replication_role = replica; SET synchronous_commit = off;")
      try await connection.execute(script: fill)
      try await connection.execute(script: "ANALYZE")
    }
    return (database, running)
  }

  /// Every fourth is the other organisation's; `site` has 20 values, `serial` is each device's own.
  private static let fill = """
    INSERT INTO device (id, organisation_id, board_id, soc, mcu_id, device_id, name, metadata, created_at, updated_at, rev)
    SELECT (lpad(to_hex(1750000000000 + i * 1000), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid,
      ('01970000-0000-7000-8000-00000000000' || CASE WHEN i % 4 = 0 THEN 2 ELSE 1 END)::uuid,
      ('01970000-0000-7000-8000-000000000' || lpad(to_hex(i % 501), 3, '0'))::uuid, 'soc' || i % 40,
      'LAB-' || lpad(i::text, 6, '0'), lpad(to_hex(i), 16, '0'), CASE WHEN i % 3 = 0 THEN 'Name ' || i END,
      jsonb_build_object('site', 'hall ' || i % 20, 'serial', 'S' || i), to_timestamp(1750000000 + i),
      to_timestamp(1750000000 + i), 1
    FROM generate_series(1, 200000) i;
    INSERT INTO device_metadata SELECT id, organisation_id, board_id, key, value, false
    FROM device, jsonb_each_text(metadata);
    INSERT INTO device_state (device_id, id, organisation_id, created_at, updated_at, attributes, online)
    SELECT device_id, id, organisation_id, created_at, updated_at, '{}',
      CASE right(device_id, 1) WHEN '0' THEN right(device_id, 2) = '00' WHEN '1' THEN false END FROM device;
    """

  /// The plan of a page of the list; `after` the device with that number.
  static func plan(_ filter: String, online: Bool? = nil, after number: Int? = nil) async throws -> String {
    let (database, _) = try await common.value
    var devices = DeviceFilter(organisation: organisation, online: online)
    if !filter.isEmpty { devices.require(try DeviceExpression(parsing: filter)) }
    var page = PageRequest()
    page.after = number.flatMap { number in
      let (time, rest) = (String(1_750_000_000_000 + number * 1000, radix: 16), String(number, radix: 16))
      func pad(_ text: String) -> String { String(repeating: "0", count: 12 - text.count) + text }
      return UUID(text: "\(pad(time).prefix(8))-\(pad(time).suffix(4))-7000-8000-\(pad(rest))")
    }
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 0, interpolationCount: 0)
    sql.appendLiteral("EXPLAIN ")
    devices.selection(after: page.after).append(
      page, DeviceTable.columns, of: "device t USING (id)", to: &sql)
    let lines = try await database.pipeline([
      "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)",
      PostgresQuery(stringInterpolation: sql),
    ])[1].decode(String.self)
    return lines.joined(separator: "\n")
  }

  @Test(
    "an index serves the usual ones, on the first page and on the last",
    arguments: [
      ("", "device_of_organisation|device_pkey", true),
      ("metadata.site=='hall 3'", "device_metadata_value", true),
      ("metadata.serial==S77", "device_metadata_value", true),
      ("metadata.serial=in=(S77,S78)", "device_metadata_value", false),
      ("metadata.serial==S7777*", "device_metadata_value", false),
      ("metadata.serial==S77,metadata.serial==S78", "device_metadata_value", false),
      ("metadata.serial==S77;attributes.x!=1", "device_metadata_value", true),
      ("soc==soc3", "device_of_soc", true),
      ("soc==soc3;updatedAt=gt=2026-01-01T00:00:00Z", "device_of_soc", true),
      ("boardId==01970000-0000-7000-8000-000000000007", "device_of_board", true),
      ("name=='Name 999'", "device_name", false), ("name=='Name 9999*'", "device_name", false),
      ("mcuId==LAB-000777", "device_mcu_id", false), ("mcuId==LAB-00077*", "device_mcu_id_text", false),
      ("deviceId==00000000000000aa", "device_device_id", false),
      ("createdAt=ge=2025-06-17T18:00:00Z", "device_of_organisation|device_pkey", true),
      (
        "createdAt=ge=2025-06-16T00:00:00Z;createdAt=lt=2025-06-16T00:10:00Z",
        "device_of_organisation|device_pkey", true
      ),
      ("online==true", "device_state_online", false),
    ])
  func usesIndex(_ filter: String, _ index: String, _ isOrdered: Bool) async throws {
    for after in [nil, 100_000] {
      let plan = try await Self.plan(filter, after: after)
      #expect(index.split(separator: "|").contains { plan.contains($0) }, "\(filter)\n\(plan)")
      #expect(!plan.contains("Seq Scan"), "\(filter)\n\(plan)")
      // In order: no more of them is read than the page shows.
      if isOrdered {
        #expect(
          !plan.dropFirst(plan.prefix { $0 != "\n" }.count).contains("Sort Key: t.id"), "\(filter)\n\(plan)")
      }
    }
  }

  @Test("a page far down starts where it begins")
  func deep() async throws {
    #expect(try await Self.plan("", after: 100_000).contains("(id > "))
    #expect(try await Self.plan("metadata.site=='hall 3'", after: 100_000).contains("(device > "))
    #expect(try await Self.plan("createdAt=ge=2025-06-16T00:00:00Z").contains("(id >= "))
    let online = try await Self.plan("", online: true, after: 100_000)
    #expect(online.contains("device_state_online") && online.contains("(id > "))
  }
}
