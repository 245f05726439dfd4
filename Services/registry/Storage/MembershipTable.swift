import FilterLanguage
import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// Who is in which group.
struct MembershipTable: Sendable {
  let database: any Querying

  /// So many groups a device may be put into: all that it is in are in the record that the other services keep of it.
  static let mostOfDevice = 256

  /// What has changed in one group.
  struct Move: Sendable {
    let group: DeviceGroup
    /// Record ids.
    var joined: [UUID] = []
    var left: [UUID] = []

    var isEmpty: Bool { joined.isEmpty && left.isEmpty }
  }

  /// Brings every group of the organisation that has a query up to date with these devices.
  /// - Returns: the groups in which that changed something.
  func follow(_ devices: [UUID], in organisation: UUID) async throws -> [Move] {
    // A query that cannot be read any more (a newer version has written it) leaves its group as it is.
    let groups = try await GroupTable(database: database).withQuery(in: organisation).compactMap { group in
      group.filter.flatMap { try? DeviceExpression(parsing: $0, for: .groupQuery) }.map { (group, $0) }
    }
    guard !groups.isEmpty else { return [] }
    let rows = try await ask(groups.map { group, query in Self.follow(group, query, of: devices) })
    return try zip(groups, rows).map { group, rows in try Self.move(group.0, rows) }.filter { !$0.isEmpty }
  }

  /// Gives a group the members that its query finds.
  func fill(_ group: DeviceGroup, by query: DeviceExpression) async throws -> Move {
    let rows = try await ask([Self.follow(group, query, of: nil)])
    return try rows.first.map { try Self.move(group, $0) } ?? Move(group: group)
  }

  /// Each is planned for its own values: how many devices a filter finds differs by orders of magnitude.
  func ask(_ queries: [PostgresQuery]) async throws -> [PostgresRows] {
    let plan: PostgresQuery = "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"
    return Array(try await database.pipeline([plan] + queries).dropFirst())
  }

  /// Devices into a group that has members of its own; those that are in it already stay.
  func add(_ devices: [UUID], to group: DeviceGroup) async throws -> Move {
    let joined = try await database.query(
      """
      INSERT INTO group_member (group_id, device, organisation)
      SELECT \(group.id), id, \(group.organisationId) FROM unnest(\(devices)::uuid[]) AS d (id)
      ON CONFLICT DO NOTHING RETURNING device
      """
    ).decode(UUID.self)
    return Move(group: group, joined: joined)
  }

  /// The deviceIds of those that are in more groups than they may, some of them.
  func crowded(_ devices: [UUID]) async throws -> [String] {
    guard !devices.isEmpty else { return [] }
    return try await database.query(
      """
      SELECT device_id FROM group_member m JOIN device t ON t.id = m.device WHERE m.device = ANY(\(devices)::uuid[])
      GROUP BY device_id HAVING count(*) > \(Int64(Self.mostOfDevice)) ORDER BY device_id LIMIT \(Int64(Names.shown + 1))
      """
    ).decode(String.self)
  }

  /// - Parameter devices: nil for all.
  func remove(_ devices: [UUID]?, from group: DeviceGroup) async throws -> Move {
    let left = try await database.query(
      """
      DELETE FROM group_member WHERE group_id = \(group.id)
        AND (\(devices)::uuid[] IS NULL OR device = ANY(\(devices)::uuid[]))
      RETURNING device
      """
    ).decode(UUID.self)
    return Move(group: group, left: left)
  }

  func isEmpty(_ group: DeviceGroup) async throws -> Bool {
    try await database.query("SELECT FROM group_member WHERE group_id = \(group.id) LIMIT 1").isEmpty
  }

  /// The deviceIds of the members.
  func list(_ group: DeviceGroup, _ page: PageRequest) async throws -> Page<String> {
    var selection = Selection("group_member m", key: "m.device")
    selection.add("m.group_id = ", group.id)
    return try await database.page(
      page, of: selection, select: "t.id, t.device_id", from: "device t USING (id)"
    ) { try $0["device_id"].decode(String.self) }
  }

  /// The devices of an organisation by record id or deviceId, each with the place of its name in the list; names of none
  /// are left out.
  func resolve(_ names: [String], in organisation: UUID) async throws -> [(place: Int, id: UUID)] {
    try await database.query(
      """
      WITH named AS (
        SELECT * FROM unnest(\(names)::text[], \(names.map { UUID(recordId: $0) })::uuid[]) WITH ORDINALITY
          AS n (device_id, id, place)
      )
      SELECT n.place, t.id FROM named n JOIN device t ON t.id = n.id WHERE t.organisation_id = \(organisation)
      UNION ALL
      SELECT n.place, t.id FROM named n JOIN device t ON t.device_id = n.device_id
      WHERE t.organisation_id = \(organisation)
      """
    ).decode((Int64, UUID).self).map { (place: Int($0.0) - 1, id: $0.1) }
  }

  private static func move(_ group: DeviceGroup, _ rows: PostgresRows) throws -> Move {
    try rows.decode((Bool, UUID).self).reduce(into: Move(group: group)) { move, row in
      if row.0 { move.joined.append(row.1) } else { move.left.append(row.1) }
    }
  }

  /// The one meaning of a query, for a few devices and for all of them alike.
  static func follow(
    _ group: DeviceGroup, _ query: DeviceExpression, of devices: [UUID]?, after start: String = ""
  ) -> PostgresQuery {
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 900, interpolationCount: 10)
    sql.appendLiteral(start)
    sql.append(whom: query, in: group, of: devices)
    sql.appendLiteral(", joined AS (INSERT INTO group_member (group_id, device, organisation) SELECT ")
    sql.appendInterpolation(group.id)
    sql.appendLiteral(", id, ")
    sql.appendInterpolation(group.organisationId)
    sql.appendLiteral(" FROM wanted ON CONFLICT DO NOTHING RETURNING device)")
    sql.appendLiteral(", gone AS (DELETE FROM group_member m WHERE m.group_id = ")
    sql.appendInterpolation(group.id)
    sql.restrict("m.device", to: devices)
    sql.appendLiteral(
      " AND NOT EXISTS (SELECT FROM wanted w WHERE w.id = m.device) RETURNING device)")
    sql.appendLiteral(" SELECT true, device FROM joined UNION ALL SELECT false, device FROM gone")
    return PostgresQuery(stringInterpolation: sql)
  }
}

extension PostgresQuery.StringInterpolation {
  /// `WITH wanted AS (…)`: those whom the query of a group finds, of these devices or of all.
  mutating func append(whom query: DeviceExpression, in group: DeviceGroup, of devices: [UUID]?) {
    appendLiteral("WITH wanted AS (SELECT t.id FROM device t WHERE t.organisation_id = ")
    appendInterpolation(group.organisationId)
    restrict("t.id", to: devices)
    appendLiteral(" AND ")
    appendInterpolation(DeviceCondition(query, organisation: group.organisationId))
    appendLiteral(")")
  }

  fileprivate mutating func restrict(_ column: String, to devices: [UUID]?) {
    guard let devices else { return }
    appendLiteral(" AND \(column) = ANY(")
    appendInterpolation(devices)
    appendLiteral("::uuid[])")
  }
}
