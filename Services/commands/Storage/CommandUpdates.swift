import CommandsDomain
import FoundationEssentials
import Postgres
import Wire

/// A command on the move: what it was, and what it has become.
struct LoadedCommand: Sendable {
  let head: CommandHead
  /// Its `rev` when it was read: the guard of the update.
  let readRev: Int64
  let readDeadline: Date?
  let readStatus: CommandStatus
  /// Whether others of its lane wait for its end.
  let isExclusive: Bool
  var state: CommandState

  var hasMoved: Bool { state.rev != readRev }
}

extension CommandStore {
  static let movingColumns = """
    id, organisation_id, device_id, type, lane, deliver_seconds, acknowledge_seconds, complete_seconds, traceparent,
    status, reason, sent_at, acknowledged_at, deadline, attempts,
    wait_ms IS NOT NULL AND heard_at IS NULL AS awaits_device, late_outcome, rev, exclusive
    """

  // Or two transactions wait for each other in a circle: each that moves commands locks rows of `waiting_device` first, by device, then rows of
  // `command` once, by id, and then touches rows of `open_command` of those commands only.

  /// The commands of these ids as they are now. Not locked, which would write each row once more: whoever moves one
  /// meanwhile is found out by `update`, and the transaction begins anew.
  static func moving(_ ids: [UUID]) -> PostgresQuery {
    "SELECT \(unescaped: movingColumns) FROM command WHERE id = ANY(\(ids)::uuid[])"
  }

  /// One command of an organisation (of any, for nil), locked.
  static func moving(_ id: UUID, in organisation: UUID?) -> PostgresQuery {
    """
    SELECT \(unescaped: movingColumns) FROM command
    WHERE id = \(id) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation)) FOR UPDATE
    """
  }

  /// Locks those commands, and with them what the bridge was given for these devices.
  static func lock(_ ids: [UUID], andOf deviceIds: [String]) -> PostgresQuery {
    """
    SELECT id FROM command WHERE id = ANY(ARRAY(
      SELECT unnest(\(ids)::uuid[])
      UNION
      SELECT id FROM open_command WHERE epoch IS NOT NULL AND device_id = ANY(\(deviceIds)::text[])
    )) ORDER BY id FOR UPDATE
    """
  }

  /// What time it is, if there are any such as `due` gives: cheaper than a transaction that finds none.
  func timeIfAnyIsDue(at time: Date?) async throws -> Date? {
    try await database.query(
      """
      SELECT n.time FROM (SELECT date_trunc('milliseconds', COALESCE(\(time)::timestamptz, now())) AS time) n
      WHERE EXISTS (SELECT FROM open_command WHERE look_at <= n.time)
      """
    ).first?.decode(Date.self)
  }

  /// Those whose deadline may have passed, locked: every replica takes others, and none that is being moved. With the rows of
  /// their devices, which come first: what waits behind one that ends is looked at with its end, not a moment before.
  static func due(at now: Date, limit: Int) -> PostgresQuery {
    """
    WITH due AS MATERIALIZED (
      SELECT id, device_id FROM open_command WHERE look_at <= \(now) ORDER BY look_at LIMIT \(Int64(limit))
    ), mine AS MATERIALIZED (
      SELECT FROM waiting_device WHERE device_id = ANY(ARRAY(SELECT device_id FROM due)) ORDER BY device_id FOR UPDATE
    )
    SELECT \(unescaped: movingColumns) FROM command
    WHERE id = ANY(ARRAY(SELECT id FROM due)) AND (SELECT count(*) FROM mine) >= 0 FOR UPDATE SKIP LOCKED
    """
  }

  /// When to look at these again.
  static func look(_ ids: [UUID], at times: [Date]) -> PostgresQuery {
    """
    UPDATE open_command o SET look_at = u.at FROM unnest(\(ids)::uuid[], \(times)::timestamptz[]) AS u (id, at)
    WHERE o.id = u.id
    """
  }

  /// Reads what `movingColumns` names.
  static func moving(_ row: PostgresRow) throws -> LoadedCommand {
    // In the order of the columns.
    let head = try head(row)
    let state = CommandState(
      status: try row["status"].decode(String.self).status, reason: try row["reason"].decode(),
      sentAt: try row["sent_at"].decode(), acknowledgedAt: try row["acknowledged_at"].decode(),
      completedAt: nil, deadline: try row["deadline"].decode(), attempts: try row["attempts"].decode(),
      result: nil, error: nil, awaitsDevice: try row["awaits_device"].decode(),
      lateOutcome: try row["late_outcome"].decode(PostgresJSON?.self).map(JSON.init(stored:)),
      rev: try row["rev"].decode(), timeline: [])
    return LoadedCommand(
      head: head, readRev: state.rev, readDeadline: state.deadline, readStatus: state.status,
      isExclusive: try row["exclusive"].decode(), state: state)
  }

  /// A command that was given its turn, with its params.
  static func turn(_ row: PostgresRow) throws -> (
    LoadedCommand, PostgresJSON, OwnCommand?, CommandTurn
  ) {
    let turn = CommandTurn(epoch: try row["epoch"].decode(), number: try row["turn"].decode())
    return (try moving(row), try row["params"].decode(), try own(row), turn)
  }

  /// The record of its device, and who made it.
  static func origin(_ row: PostgresRow) throws -> (device: UUID?, name: String) {
    (try row["device_record"].decode(), try row["created_by"].decode())
  }

  /// In bytes: so much of a story is kept of what happens again and again (redelivery) in one status. Moves are few, and all
  /// of them are kept.
  private static let longestTimeline: Int32 = 16 * 1024

  /// Writes what has moved, each only from the state in which it was read; a missed guard, if another writer was there
  /// first.
  ///
  /// What a move does not say (the reason, the result of an earlier one) stays as it is.
  static func update(_ moved: [LoadedCommand]) -> PostgresQuery {
    let state = moved.map(\.state)
    return """
      WITH moved AS (
      UPDATE command c SET
        status = u.status, reason = COALESCE(u.reason, c.reason), sent_at = u.sent_at,
        acknowledged_at = u.acknowledged_at, completed_at = COALESCE(u.completed_at, c.completed_at),
        deadline = u.deadline, attempts = u.attempts, result = COALESCE(u.result, c.result),
        error_code = COALESCE(u.error_code, c.error_code),
        error_message = COALESCE(u.error_message, c.error_message), late_outcome = u.late_outcome, rev = u.rev,
        timeline = CASE WHEN u.status = c.status AND octet_length(c.timeline) > \(Self.longestTimeline) THEN c.timeline
          ELSE c.timeline || u.timeline END
      FROM unnest(
        \(moved.map(\.head.id))::uuid[], \(moved.map(\.readRev))::bigint[],
        \(state.map(\.status.rawValue))::text[], \(state.map(\.reason))::text[],
        \(state.map(\.sentAt))::timestamptz[], \(state.map(\.acknowledgedAt))::timestamptz[],
        \(state.map(\.completedAt))::timestamptz[], \(state.map(\.deadline))::timestamptz[],
        \(state.map { Int32($0.attempts) })::int[],
        \(state.map { $0.result.map { PostgresJSONText(bytes: $0.bytes) } })::json[],
        \(state.map { $0.error?.code })::text[], \(state.map { $0.error?.message })::text[],
        \(state.map { $0.lateOutcome.map { PostgresJSONText(bytes: $0.bytes) } })::json[],
        \(state.map(\.rev))::bigint[],
        \(state.map(\.timelineText))::text[], \(moved.map(\.readStatus.rawValue))::text[]
      ) AS u (id, read_rev, status, reason, sent_at, acknowledged_at, completed_at, deadline, attempts, result,
        error_code, error_message, late_outcome, rev, timeline, read_status)
      WHERE c.id = u.id AND c.rev = u.read_rev RETURNING c.organisation_id, u.read_status, u.status
      ), counted AS (
      INSERT INTO command_tally (organisation_id, status, number)
      SELECT organisation_id, d.status, sum(d.number) FROM moved m
      CROSS JOIN LATERAL (VALUES (m.read_status, -1), (m.status, 1)) AS d (status, number)
      WHERE m.read_status <> m.status GROUP BY organisation_id, d.status HAVING sum(d.number) <> 0
      )
      SELECT expect_count(count(*), \(Int64(moved.count))) FROM moved
      """
  }

  /// A missed guard, if one of these is not as it was read.
  static func expect(_ commands: [LoadedCommand]) -> PostgresQuery {
    """
    SELECT expect_count(count(*), \(Int64(commands.count)))
    FROM unnest(\(commands.map(\.head.id))::uuid[], \(commands.map(\.readRev))::bigint[]) AS u (id, rev)
    JOIN command c ON (c.id, c.rev) = (u.id, u.rev)
    """
  }

  /// How far the device is: beside `update`, since few commands have it.
  static func keepProgress(_ moved: [LoadedCommand]) -> PostgresQuery {
    """
    UPDATE command c SET progress = u.progress
    FROM unnest(
      \(moved.map(\.head.id))::uuid[],
      \(moved.map { $0.state.progress.map { PostgresJSONText(bytes: $0.bytes) } })::json[]) AS u (id, progress)
    WHERE c.id = u.id
    """
  }

  /// Those that are final leave the table of open ones.
  static func close(_ ids: [UUID]) -> PostgresQuery {
    "DELETE FROM open_command WHERE id = ANY(\(ids)::uuid[])"
  }

  /// Moves `look_at` where a deadline has come nearer; one that has gone further is found out by looking.
  static func lookSooner(_ moved: [LoadedCommand]) -> PostgresQuery {
    """
    UPDATE open_command o SET look_at = u.deadline
    FROM unnest(
      \(moved.map(\.head.id))::uuid[], \(moved.map(\.state.deadline))::timestamptz[]) AS u (id, deadline)
    WHERE o.id = u.id AND o.look_at > u.deadline
    """
  }
}
