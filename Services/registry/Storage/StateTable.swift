import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// The latest state of each device in the database.
struct StateTable: Sendable {
  let database: any Querying

  static let columns = """
    s.created_at AS state_created_at, s.updated_at AS state_updated_at, s.attributes, s.last_seen_at, s.route, s.route_at,
    s.online, s.online_at, s.online_source, s.connection_epoch
    """

  static func read(_ row: PostgresRow) throws -> StoredState {
    StoredState(
      createdAt: try row["state_created_at"].decode(Date.self),
      updatedAt: try row["state_updated_at"].decode(Date.self),
      attributes: try row["attributes"].optionalObject() ?? JSONObject(),
      lastSeenAt: try row["last_seen_at"].decode(Date?.self),
      route: try row["route"].isNull ? nil : row["route"].json(),
      routeAt: try row["route_at"].decode(Date?.self),
      presence: try presence(row),
      connectionEpoch: try row["connection_epoch"].decode(Int64.self))
  }

  private static func presence(_ row: PostgresRow) throws -> StoredState.Presence? {
    guard let online = try row["online"].decode(Bool?.self), let at = try row["online_at"].decode(Date?.self),
      let source = try row["online_source"].decode(String?.self).flatMap(PresenceSource.init(rawValue:))
    else { return nil }
    return StoredState.Presence(online: online, at: at, source: source)
  }

  func find(_ deviceId: String) async throws -> StoredState? {
    try await database.query(
      "SELECT \(unescaped: Self.columns) FROM device_state s WHERE device_id = \(deviceId)"
    )
    .first.map(Self.read)
  }

  /// The states of those that there are, and whose they may be seen by.
  func find(_ deviceIds: [String], in organisation: UUID?) async throws -> [(
    deviceId: String, state: StoredState
  )] {
    try await database.query(
      """
      SELECT t.device_id, \(unescaped: Self.columns)
      FROM unnest(\(deviceIds)::text[]) AS wanted (device_id)
      JOIN device t USING (device_id) JOIN device_state s USING (device_id)
      WHERE \(organisation)::uuid IS NULL OR t.organisation_id = \(organisation)
      """
    ).map { (try $0["device_id"].decode(String.self), try Self.read($0)) }
  }
}
