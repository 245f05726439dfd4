import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

extension SensorProfile: Owned { static var noun: String { "sensor profile" } }

/// Sensor profiles in the database.
struct SensorProfileTable: OwnedTable {
  static let name = "sensor_profile"
  static let columns = "t.id, t.organisation_id, t.created_at, t.updated_at, t.name, t.config_schemas, t.rev"

  let database: any Querying

  static func read(_ row: PostgresRow) throws -> SensorProfile {
    SensorProfile(
      id: try row["id"].decode(UUID.self), organisationId: try row["organisation_id"].decode(UUID.self),
      createdAt: try row["created_at"].decode(Date.self), updatedAt: try row["updated_at"].decode(Date.self),
      name: try row["name"].decode(String.self), configSchemas: try row["config_schemas"].optionalObject(),
      rev: try row["rev"].decode(Int64.self))
  }

  func insert(_ profile: SensorProfile) async throws {
    try await database.query(
      """
      INSERT INTO sensor_profile (id, organisation_id, created_at, updated_at, name, config_schemas, rev)
      VALUES (\(profile.id), \(profile.organisationId), \(profile.createdAt), \(profile.updatedAt), \(profile.name),
        \(profile.configSchemas.map { PostgresJSON($0) }), \(profile.rev))
      """)
  }

  func update(_ profile: SensorProfile, from current: SensorProfile) async throws {
    try await database.query(
      """
      UPDATE sensor_profile SET updated_at = \(profile.updatedAt), name = \(profile.name),
        config_schemas = \(profile.configSchemas.map { PostgresJSON($0) }), rev = \(profile.rev)
      WHERE id = \(profile.id)
      """)
  }

  func users(of profile: SensorProfile, seenBy organisation: UUID?) async throws -> String? {
    let names = try await database.query(
      """
      SELECT c.key || ' of ' || t.device_id FROM component c JOIN device t ON t.id = c.device
      WHERE c.sensor_profile_id = \(profile.id) ORDER BY c.id LIMIT \(Int64(Names.shown + 1))
      """
    ).decode(String.self)
    return Names("component", names).text
  }
}
