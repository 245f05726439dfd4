import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// The components of devices in the database.
struct ComponentTable: Sendable {
  let database: any Querying

  private static let columns = "t.id, t.device, t.key, t.sensor_profile_id, t.name, t.rev"

  private static func read(_ row: PostgresRow) throws -> Component {
    Component(
      id: try row["id"].decode(UUID.self), device: try row["device"].decode(UUID.self),
      key: try row["key"].decode(String.self),
      sensorProfileId: try row["sensor_profile_id"].decode(UUID.self),
      name: try row["name"].decode(String?.self), rev: try row["rev"].decode(Int64.self))
  }

  /// The component of a device with that key; the device is held by those who change it.
  func find(_ key: String, of device: UUID) async throws -> Component? {
    try await database.query(
      "SELECT \(unescaped: Self.columns) FROM component t WHERE device = \(device) AND key = \(key)"
    ).first.map(Self.read)
  }

  func list(of device: UUID, _ page: PageRequest) async throws -> Page<Component> {
    var selection = Selection("component t", key: "t.id")
    selection.add("device = ", device)
    return try await database.page(
      page, of: selection, select: Self.columns, from: "component t USING (id)", read: Self.read)
  }

  func all(of device: UUID) async throws -> [Component] {
    try await database.query(
      "SELECT \(unescaped: Self.columns) FROM component t WHERE device = \(device) ORDER BY id"
    ).map(Self.read)
  }

  func count(of device: UUID) async throws -> Int {
    Int(
      try await database.query("SELECT count(*) FROM component WHERE device = \(device)").first?
        .decode(Int64.self) ?? 0)
  }

  func put(_ component: Component) async throws {
    try await database.query(
      """
      INSERT INTO component (id, device, key, sensor_profile_id, name, rev)
      VALUES (\(component.id), \(component.device), \(component.key), \(component.sensorProfileId), \(component.name),
        \(component.rev))
      ON CONFLICT (id) DO UPDATE SET (sensor_profile_id, name, rev)
        = (EXCLUDED.sensor_profile_id, EXCLUDED.name, EXCLUDED.rev)
      """)
  }

  func delete(_ id: UUID) async throws {
    try await database.query("DELETE FROM component WHERE id = \(id)")
  }
}
