import ConfigDomain
import FoundationEssentials
import Postgres
import Wire

/// The table of bindings that commands ask for.
enum BindingCommandStore {
  /// One that is not begun, locked.
  struct Asked: Sendable {
    let request: BindingRequest
    let traceparent: String?
  }

  /// One that is followed, locked.
  struct Followed: Sendable {
    let commandId: UUID
    let deviceId: String
    let recordId: UUID
    let traceparent: String?
    let isOnline: Bool
    var follow: BindingFollow
  }

  /// For so long beyond its end a request is known, since Kafka may tell it once more.
  private static let memory = "interval '3 days'"

  /// Keeps requests; those that are known already change nothing.
  static func add(_ asked: [Asked]) -> PostgresQuery {
    let requests = asked.map(\.request)
    return """
      INSERT INTO binding_command (command_id, device_id, record_id, request, traceparent, state, follow_until)
      SELECT * FROM (
        SELECT id, device_id, record_id, request, traceparent, 'NEW', follow_until FROM unnest(
          \(requests.map(\.commandId))::uuid[], \(requests.map(\.deviceId))::text[],
          \(requests.map(\.deviceRecord))::uuid[], \(requests.map { PostgresJSON(bytes: $0.json.bytes) })::jsonb[],
          \(asked.map(\.traceparent))::text[], \(requests.map(\.followUntil))::timestamptz[]
        ) WITH ORDINALITY AS u (id, device_id, record_id, request, traceparent, follow_until, number)
        ORDER BY number
      ) r ON CONFLICT (command_id) DO NOTHING
      """
  }

  /// What was withdrawn is not begun any more.
  static func withdraw(_ ids: [UUID]) -> PostgresQuery {
    """
    UPDATE binding_command SET state = 'DONE' WHERE state = 'NEW' AND command_id IN (
      SELECT command_id FROM binding_command WHERE command_id = ANY(\(ids)::uuid[]) AND state = 'NEW'
      ORDER BY command_id FOR UPDATE)
    """
  }

  /// The next, locked: of each device the oldest, and none of a device of which another replica has one in hand.
  static func next(_ connection: PostgresConnection) async throws -> Asked? {
    try await connection.query(
      """
      SELECT request, traceparent FROM binding_command b
      WHERE state = 'NEW' AND try_at <= now() AND NOT EXISTS (
        SELECT FROM binding_command o WHERE o.device_id = b.device_id AND o.state = 'NEW' AND o.seq < b.seq)
      ORDER BY seq LIMIT 1 FOR UPDATE SKIP LOCKED
      """
    ).first.map { row in
      let (request, traceparent) = try row.decode((PostgresJSON, String?).self)
      return Asked(request: try BindingRequest(payload: request.bytes), traceparent: traceparent)
    }
  }

  /// Not before a second from now.
  static func postpone(_ id: UUID) -> PostgresQuery {
    "UPDATE binding_command SET try_at = now() + interval '1 s' WHERE command_id = \(id) AND state = 'NEW'"
  }

  /// Locks one that is not begun; false if it is begun or withdrawn.
  static func lock(new id: UUID, _ connection: PostgresConnection) async throws -> Bool {
    try await connection.query(
      "SELECT FROM binding_command WHERE command_id = \(id) AND state = 'NEW' FOR UPDATE"
    ).count > 0
  }

  static func follow(_ id: UUID, _ follow: BindingFollow) -> PostgresQuery {
    let slots = follow.slots.sorted { $0.key < $1.key }
      .reduce(into: JSONObject()) { $0[$1.key] = $1.value.map { .string($0) } ?? .null }
    return """
      UPDATE binding_command SET state = 'FOLLOWING', stage = \(follow.stage.rawValue), revision = \(follow.revision),
        slots = \(PostgresJSON(bytes: JSON.object(slots).bytes)), request = NULL
      WHERE command_id = \(id)
      """
  }

  static func done(_ ids: [UUID]) -> PostgresQuery {
    "UPDATE binding_command SET state = 'DONE', request = NULL WHERE command_id = ANY(\(ids)::uuid[])"
  }

  static func tell(_ followed: [Followed]) -> PostgresQuery {
    """
    UPDATE binding_command b SET stage = u.stage
    FROM unnest(\(followed.map(\.commandId))::uuid[], \(followed.map(\.follow.stage.rawValue))::int[]) AS u (id, stage)
    WHERE b.command_id = u.id
    """
  }

  /// Those of these devices that are followed, oldest first. The locks of the devices' configurations are held.
  static func following(
    _ deviceIds: [String], _ connection: PostgresConnection
  ) async throws -> [Followed] {
    try await connection.query(
      """
      SELECT b.command_id, b.device_id, b.record_id, b.traceparent, b.stage, b.revision, b.slots,
        COALESCE((SELECT online FROM device_presence p WHERE p.device_id = b.device_id), false) AS online
      FROM binding_command b
      WHERE b.state = 'FOLLOWING' AND b.device_id = ANY(\(deviceIds)::text[]) ORDER BY b.seq FOR UPDATE
      """
    ).map { row in
      let slots = try JSON(parsing: try row["slots"].decode(PostgresJSON.self).bytes).object ?? JSONObject()
      return Followed(
        commandId: try row["command_id"].decode(), deviceId: try row["device_id"].decode(),
        recordId: try row["record_id"].decode(), traceparent: try row["traceparent"].decode(),
        isOnline: try row["online"].decode(),
        follow: BindingFollow(
          revision: try row["revision"].decode(),
          slots: Dictionary(slots.members.map { ($0.name, $0.value.string) }, uniquingKeysWith: { $1 }),
          stage: BindingFollow.Stage(rawValue: try row["stage"].decode()) ?? .begun))
    }
  }

  /// Which of these devices have any that is followed.
  static func followed(_ deviceIds: [String]) -> PostgresQuery {
    """
    SELECT DISTINCT device_id FROM binding_command WHERE state = 'FOLLOWING' AND device_id = ANY(\(deviceIds)::text[])
    """
  }

  /// Forgets those of which nobody asks any more, and that Kafka does not tell any more.
  static func sweep(_ database: PostgresClient) async throws {
    try await database.query(
      "DELETE FROM binding_command WHERE follow_until < now() - \(unescaped: memory)")
  }
}
