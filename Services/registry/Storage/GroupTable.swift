import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

extension DeviceGroup: Owned { static var noun: String { "group" } }

/// Groups in the database; who is in them is `MembershipTable`'s.
struct GroupTable: OwnedTable {
  static let name = "device_group"
  static let columns = "t.id, t.organisation_id, t.created_at, t.updated_at, t.name, t.filter, t.rev"

  /// So many groups of an organisation may have a query: each is asked with every change of a device.
  static let mostWithQuery = 100

  let database: any Querying

  static func read(_ row: PostgresRow) throws -> DeviceGroup {
    DeviceGroup(
      id: try row["id"].decode(UUID.self), organisationId: try row["organisation_id"].decode(UUID.self),
      createdAt: try row["created_at"].decode(Date.self), updatedAt: try row["updated_at"].decode(Date.self),
      name: try row["name"].decode(String.self), filter: try row["filter"].decode(String?.self),
      rev: try row["rev"].decode(Int64.self))
  }

  func insert(_ group: DeviceGroup) async throws {
    try await database.query(
      """
      INSERT INTO device_group (id, organisation_id, created_at, updated_at, name, filter, rev)
      VALUES (\(group.id), \(group.organisationId), \(group.createdAt), \(group.updatedAt), \(group.name),
        \(group.filter), \(group.rev))
      """)
  }

  func update(_ group: DeviceGroup, from current: DeviceGroup) async throws {
    try await database.query(
      """
      UPDATE device_group SET updated_at = \(group.updatedAt), name = \(group.name), filter = \(group.filter),
        rev = \(group.rev)
      WHERE id = \(group.id)
      """)
  }

  /// What refers to groups is kept by other services.
  func users(of group: DeviceGroup, seenBy organisation: UUID?) async throws -> String? { nil }

  /// Those whose members follow a query.
  func withQuery(in organisation: UUID) async throws -> [DeviceGroup] {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM device_group t
      WHERE organisation_id = \(organisation) AND filter IS NOT NULL ORDER BY id
      """
    ).map(Self.read)
  }

  /// Those that a device is in.
  func containing(_ device: UUID) async throws -> [DeviceGroup] {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM group_member m JOIN device_group t ON t.id = m.group_id
      WHERE m.device = \(device) ORDER BY t.id
      """
    ).map(Self.read)
  }
}
