import FilterLanguage
import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// What another query would do to a group.
struct MembershipPreview: Sendable {
  /// So many are named of each.
  static let shown = 1000

  struct Part: Sendable {
    var total = 0
    /// deviceIds.
    var devices: [String] = []

    var json: JSON {
      ["total": .int(Int64(total)), "deviceIds": .array(devices.map { .string($0) })]
    }
  }

  var join = Part()
  var leave = Part()

  var json: JSON { ["join": join.json, "leave": leave.json] }
}

extension MembershipTable {
  /// Who would join and leave if that were the group's query.
  func preview(_ group: DeviceGroup, by query: DeviceExpression) async throws -> MembershipPreview {
    let parts = try await ask([
      Self.difference(
        group, query, "SELECT id FROM wanted EXCEPT SELECT device FROM group_member WHERE group_id = ", ""),
      Self.difference(
        group, query, "SELECT device AS id FROM group_member WHERE group_id = ",
        " EXCEPT SELECT id FROM wanted"),
    ]).map { rows in
      try rows.decode((String, Int64).self).reduce(into: MembershipPreview.Part()) { part, row in
        part.devices.append(row.0)
        part.total = Int(row.1)
      }
    }
    return MembershipPreview(join: parts[0], leave: parts[1])
  }

  private static func difference(
    _ group: DeviceGroup, _ query: DeviceExpression, _ before: String, _ after: String
  ) -> PostgresQuery {
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 600, interpolationCount: 6)
    sql.append(whom: query, in: group, of: nil)
    sql.appendLiteral(", moving AS (\(before)")
    sql.appendInterpolation(group.id)
    sql.appendLiteral(
      "\(after)) SELECT t.device_id, count(*) OVER () FROM moving JOIN device t USING (id) ORDER BY id LIMIT "
    )
    sql.appendInterpolation(Int64(MembershipPreview.shown))
    return PostgresQuery(stringInterpolation: sql)
  }
}
