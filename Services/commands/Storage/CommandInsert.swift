import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// A command to be stored, with the records that tell of it.
struct NewCommand: Sendable {
  var command: Command
  /// For the public topic.
  let created: Event
  /// For the bridge, if its turn is now.
  let downlink: Event
  /// What `downlink` says.
  let epoch: Int64
  /// As it was looked up: the command is stored only while the directory still has it so.
  let device: DeviceEntity
}

extension CommandStore {
  /// How many commands of one device may be at the broker unanswered: behind 60 expired messages Mosquitto 2.0.11
  /// delivers nothing more (DESIGN, section 2.5).
  static let window = 16

  /// What became of an insert.
  struct Inserted: Sendable {
    /// Those whose turn is now.
    var turns: Set<UUID> = []
    /// Those whose device is not as the directory had it when it was looked up: they are not stored.
    var stale: Set<UUID> = []
    /// What tells of the others; nil if there are none.
    var records: OutboxRecords?
  }

  /// Stores commands with their outbox records, all or none, in one round trip.
  ///
  /// Those of a device that has `window` unanswered ones at the broker, or others that wait, wait behind them: decided under
  /// the devices' locks, since another replica may store commands of theirs at the same moment.
  /// - Parameters:
  ///   - epoch: what the records say; if it is not the newest, nothing is stored, and all are `stale`.
  ///   - connection: of a transaction that it is to be a part of.
  func insert(
    _ new: [NewCommand], epoch: Int64, on connection: PostgresConnection? = nil
  ) async throws -> Inserted {
    let statements = [
      Self.lock(devices: new.map(\.command.head.deviceId)), Self.statement(new, epoch: epoch),
    ]
    let answers =
      if let connection { try await connection.pipeline(statements) } else {
        try await database.pipeline(statements)
      }
    return try Self.inserted(new, answers[1])
  }

  private static func statement(_ new: [NewCommand], epoch: Int64) -> PostgresQuery {
    let commands = new.map(\.command)
    return """
      WITH input AS MATERIALIZED (
        SELECT * FROM unnest(
          \(commands.map(\.head.id))::uuid[], \(commands.map(\.head.organisationId))::uuid[],
          \(commands.map(\.head.deviceId))::text[], \(commands.map(\.hardwareId))::text[],
          \(commands.map(\.deviceType))::text[], \(commands.map(\.head.type))::text[],
          \(commands.map { PostgresJSON(bytes: $0.params.bytes) })::jsonb[], \(commands.map(\.head.lane))::text[],
          \(commands.map(\.createdAt))::timestamptz[], \(commands.map(\.createdBy))::text[],
          \(commands.map { Int32($0.head.timeouts.deliver) })::int[],
          \(commands.map { Int32($0.head.timeouts.acknowledge) })::int[],
          \(commands.map { Int32($0.head.timeouts.complete) })::int[], \(commands.map(\.head.traceparent))::text[],
          \(commands.map(\.progress.deadline))::timestamptz[], \(commands.map(\.progress.timelineText))::text[],
          \(new.map { PackedRecords([$0.created]).bytes })::bytea[],
          \(new.map { PackedRecords([$0.downlink]).bytes })::bytea[], \(new.map(\.device.id))::uuid[],
          \(new.map(\.device.rev))::bigint[]
        ) WITH ORDINALITY AS i (id, organisation_id, device_id, hardware_id, device_type, type, params, lane,
          created_at, created_by, deliver_seconds, acknowledge_seconds, complete_seconds, traceparent, deadline,
          timeline, created, downlink, device_record, device_rev, number)
      ), turn AS MATERIALIZED (
        SELECT i.*, nextval('command_seq_seq') AS seq,
          NOT b.waiting AND b.given + row_number() OVER (PARTITION BY i.device_id ORDER BY i.number)
            <= \(Int64(window)) + b.answered AS goes
        FROM input i JOIN directory_device d ON (d.id, d.rev) = (i.device_record, i.device_rev)
        JOIN broker_epoch e ON e.epoch = \(epoch)
        CROSS JOIN LATERAL (\(unescaped: room)) AS b
      ), made AS (
        INSERT INTO command (id, seq, organisation_id, device_id, hardware_id, device_type, type, params, lane,
          created_at, created_by, deliver_seconds, acknowledge_seconds, complete_seconds, traceparent, status, deadline,
          attempts, rev, timeline)
        OVERRIDING SYSTEM VALUE
        SELECT id, seq, organisation_id, device_id, hardware_id, device_type, type, params, lane, created_at, created_by,
          deliver_seconds, acknowledge_seconds, complete_seconds, traceparent, 'PENDING', deadline, goes::int, 1,
          timeline
        FROM turn
      ), opened AS (
        INSERT INTO open_command (id, seq, device_id, look_at, epoch, device_record, organisation_id)
        SELECT id, seq, device_id, deadline, CASE WHEN goes THEN \(epoch) END, device_record, organisation_id FROM turn
      ), waits AS (
        INSERT INTO waiting_device (device_id, try_at)
        SELECT DISTINCT device_id, now() + interval '1 s' FROM turn WHERE NOT goes
        ON CONFLICT (device_id) DO NOTHING
      ), counted AS (
        INSERT INTO command_tally (organisation_id, status, number)
        SELECT organisation_id, 'PENDING', count(*) FROM turn GROUP BY organisation_id
      ), told AS (
        INSERT INTO outbox (records)
        SELECT string_agg(CASE WHEN goes THEN created || downlink ELSE created END, ''::bytea ORDER BY number)
        FROM turn HAVING count(*) > 0
        RETURNING id, created_at
      )
      SELECT NULL, NULL, id, created_at FROM told UNION ALL SELECT id, goes, NULL, NULL FROM turn
      """
  }

  /// What is open of the device of `i` in the epoch of `e`: whether any waits, how many the bridge was given, and how many
  /// of those the device has answered, which is looked at only where it matters. One look for each command: a join with all
  /// of them together is made anew for each row, since the plans of this service have no hash.
  private static let room = """
    SELECT g.old OR EXISTS (SELECT FROM open_command w WHERE w.device_id = i.device_id AND w.epoch IS NULL) AS waiting,
      g.given, CASE WHEN g.given < \(window) THEN 0 ELSE (
        SELECT count(*) FROM open_command a JOIN command c USING (id)
        WHERE a.device_id = i.device_id AND a.epoch IS NOT NULL AND c.status = 'ACKNOWLEDGED'
      ) END AS answered
    FROM (
      SELECT count(*) AS given, COALESCE(bool_or(o.epoch <> e.epoch AND EXISTS (
          SELECT FROM command c WHERE c.id = o.id AND c.status IN ('PENDING', 'SENT'))), false) AS old
      FROM open_command o WHERE o.device_id = i.device_id AND o.epoch IS NOT NULL
    ) AS g
    """

  /// Whoever gives these devices' commands their turn does so alone, until its transaction ends.
  static func lock(devices: [String]) -> PostgresQuery {
    // In one order, or two that lock wait for each other. Two devices of one key only wait for each other.
    let keys = Set(devices.map { $0.fnv1a() })
    return """
      SELECT count(*) FROM (
        SELECT pg_advisory_xact_lock(key) FROM unnest(\(keys.sorted().map(Int64.init(bitPattern:)))::bigint[]) AS k (key)
      ) AS locked
      """
  }

  private static func inserted(_ new: [NewCommand], _ rows: PostgresRows) throws -> Inserted {
    var inserted = Inserted(stale: Set(new.map(\.command.head.id)))
    var place: OutboxRecords.Place?
    for row in rows {
      let (id, goes, outboxId, createdAt) = try row.decode((UUID?, Bool?, Int64?, Date?).self)
      if let id {
        inserted.stale.remove(id)
        if goes == true { inserted.turns.insert(id) }
      } else if let outboxId, let createdAt {
        place = OutboxRecords.Place(id: outboxId, createdAt: createdAt)
      }
    }
    let events = new.flatMap { item -> [Event] in
      let id = item.command.head.id
      if inserted.stale.contains(id) { return [] }
      return inserted.turns.contains(id) ? [item.created, item.downlink] : [item.created]
    }
    inserted.records = place.map { OutboxRecords(events, at: $0) }
    return inserted
  }
}
