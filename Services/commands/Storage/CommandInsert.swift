import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// A command to be stored, with the records that tell of it. A class, since it is handed on a dozen times: a copy of all that it
/// holds retains forty objects.
final class NewCommand: Sendable {
  let command: Command
  /// For the public topic.
  let created: Event
  /// For the bridge, if its turn is now.
  let downlink: Event
  /// What `downlink` says.
  let epoch: Int64
  /// As it was looked up: the command is stored only while the directory still has it so.
  let device: DeviceEntity

  init(command: Command, created: Event, downlink: Event, epoch: Int64, device: DeviceEntity) {
    (self.command, self.created, self.downlink) = (command, created, downlink)
    (self.epoch, self.device) = (epoch, device)
  }

  /// What its records hold, for bounds.
  var bytes: Int { (created.payload?.count ?? 0) + (downlink.payload?.count ?? 0) }
}

extension CommandStore {
  /// What became of an insert.
  struct Inserted: Sendable {
    /// Those whose turn is now.
    var turns: Set<UUID> = []
    /// Those whose device is not as the directory had it when it was looked up: they are not stored.
    var stale: Set<UUID> = []
    /// Whether the devices of those that are stored are connected; without those never heard from.
    var presence: [UUID: DevicePresence] = [:]
    /// What tells of the others; nil if there are none.
    var records: OutboxRecords?
  }

  /// Stores commands with their outbox records, all or none, in one round trip.
  ///
  /// Those wait that stand behind others of their lane, that the window has no room for (`LaneWindow`), that are held until
  /// their device is heard from, and those of a device that is known not to listen: decided under the devices' locks, since
  /// another replica may store commands of theirs at the same moment.
  /// - Parameters:
  ///   - epoch: what the records say; if it is not the newest, nothing is stored, and all are `stale`.
  ///   - connection: of a transaction that it is to be a part of.
  func insert(
    _ new: [NewCommand], epoch: Int64, on connection: PostgresConnection? = nil
  ) async throws -> Inserted {
    var statements = [
      Self.lock(devices: new.map(\.command.head.deviceId)), Self.statement(new, epoch: epoch),
    ]
    let forConfig = new.filter { $0.command.head.action != nil }.map(\.command.head.deviceId)
    if !forConfig.isEmpty {
      statements.insert(Self.lock(waiting: forConfig), at: 0)
      statements.insert(Self.lookNow(forConfig), at: 2)
    }
    let answers =
      if let connection { try await connection.pipeline(statements) } else {
        try await database.pipeline(statements)
      }
    return try Self.inserted(new, answers[statements.count - 1])
  }

  private static func statement(_ new: [NewCommand], epoch: Int64) -> PostgresQuery {
    let commands = new.map(\.command)
    let places = PlaceInStatement.all(of: new)
    return """
      WITH input AS MATERIALIZED (
        SELECT *, nextval('command_seq_seq') AS seq FROM unnest(
          \(asMade: commands),
          \(commands.map(\.state.deadline))::timestamptz[], \(commands.map(\.state.timelineText))::text[],
          \(new.map { PackedRecords([$0.created]).bytes })::bytea[],
          \(new.map { PackedRecords([$0.downlink]).bytes })::bytea[], \(new.map(\.device.id))::uuid[],
          \(new.map(\.device.rev))::bigint[], \(commands.map(\.bulkId))::uuid[],
          \(commands.map(\.delivery.isExclusive))::boolean[],
          \(commands.map(\.delivery.waitMilliseconds))::bigint[], \(places.map(\.ofDevice))::int[],
          \(places.map { $0.isBehind ? 0 : $0.ofLane })::int[],
          \(commands.map { $0.own.map { PostgresJSONText(bytes: $0.json.bytes) } })::json[],
          \(commands.map { $0.own?.answerTopic })::text[]
        ) WITH ORDINALITY AS i (\(unescaped: columnsAsMade), deadline, timeline, created, downlink, device_record, device_rev, bulk_id, exclusive, wait_ms, nth, lane_nth, own,
          answer_topic, number)
      ), turn AS MATERIALIZED (
        \(unescaped: turn) JOIN broker_epoch e ON e.epoch = \(epoch) \(unescaped: decided)
      ), made AS (
        INSERT INTO command (\(unescaped: columnsAsMade), seq, status, deadline, attempts, rev, timeline, bulk_id, exclusive, wait_ms, device_record, own)
        OVERRIDING SYSTEM VALUE
        SELECT \(unescaped: columnsAsMade), seq, 'PENDING', deadline, goes::int, 1,
          timeline, bulk_id, exclusive, wait_ms, device_record, own
        FROM turn
      ), opened AS (
        INSERT INTO open_command (id, seq, device_id, look_at, epoch, device_record, organisation_id, lane, exclusive,
          awaits_device, answer_topic)
        SELECT id, seq, device_id, deadline, CASE WHEN goes THEN \(epoch) END, device_record, organisation_id, lane,
          exclusive, wait_ms IS NOT NULL, answer_topic
        FROM turn
      ), waits AS (
        INSERT INTO waiting_device (device_id, try_at)
        SELECT DISTINCT device_id, now() + interval '1 s' FROM turn WHERE NOT goes ORDER BY device_id
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
      SELECT NULL, NULL, id, created_at, NULL, NULL FROM told
      UNION ALL SELECT t.id, t.goes, NULL, NULL, p.online, p.since
      FROM turn t LEFT JOIN device_presence p ON p.device_id = t.device_id
      """
  }

  /// Whether each goes: `LaneWindow`, for commands that come one after the other.
  ///
  /// Their places are counted over what nothing in their own lane holds up. Within a statement places are only taken: where one
  /// finds no room, none does that comes after it and may have no more. So whether one goes is told by its place alone, where
  /// its lane has some already; else by how many go before it.
  private static let (turn, decided) = (
    """
    SELECT p.*, NOT held_up AND CASE WHEN lane_has_some THEN taken + place <= \(shared)
      ELSE taken + count(*) FILTER (WHERE NOT held_up AND (NOT lane_has_some OR taken + place <= \(shared)))
        OVER (PARTITION BY device_id ORDER BY number) <= \(LaneWindow.size) END AS goes
    FROM (
      SELECT i.*, b.held_up, COALESCE(b.exact[1], b.given) AS taken, COALESCE(b.exact[2], 0) + i.lane_nth > 1 AS lane_has_some,
        count(*) FILTER (WHERE NOT b.held_up) OVER (PARTITION BY i.device_id ORDER BY i.number) AS place
      FROM input i JOIN directory_device d ON (d.id, d.rev) = (i.device_record, i.device_rev)
    """,
    """
      CROSS JOIN LATERAL (\(room)) AS b
    ) p
    """
  )

  /// How many of a device may be at the broker where the lane has some there.
  private static let shared = LaneWindow.size - LaneWindow.kept

  /// What is open of the device of `i` in the epoch of `e`: whether something holds its lane up; how many the bridge was given;
  /// and, where that and those before it in the statement leave no room in any case, exactly how many of these are not
  /// answered, of the device and of its lane. That is seldom: it costs a look at each. `lane_nth` is 0 for what waits in any case
  /// (`PlaceInStatement`). One look for each command: a join with
  /// all of them together is made anew for each row, since the plans of this service have no hash.
  private static let room = """
    SELECT i.lane_nth = 0 OR g.held_up OR CASE
        WHEN EXISTS (SELECT FROM open_command w WHERE w.device_id = i.device_id AND w.epoch IS NULL)
        THEN EXISTS (
            SELECT FROM open_command w WHERE w.device_id = i.device_id AND w.lane = i.lane AND w.epoch IS NULL)
          OR EXISTS (SELECT FROM waiting_device w WHERE w.device_id = i.device_id AND w.failures > 0)
        ELSE false END AS held_up,
      g.given, CASE WHEN g.given + i.nth > \(shared) THEN (
        SELECT ARRAY[count(*), count(*) FILTER (WHERE a.lane = i.lane)] FROM open_command a JOIN command c USING (id)
        WHERE a.device_id = i.device_id AND a.epoch IS NOT NULL AND c.status <> 'ACKNOWLEDGED' AND \(isForDevice)
      ) END AS exact
    FROM (
      SELECT count(*) AS given, COALESCE(bool_or((o.exclusive OR o.epoch <> e.epoch) AND o.lane = i.lane AND (
          o.exclusive OR EXISTS (SELECT FROM command c WHERE c.id = o.id AND c.status IN ('PENDING', 'SENT')
            AND \(isForDevice)))), false)
        AS held_up
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
      let (id, goes, outboxId, createdAt, online, since) = try row.decode(
        (UUID?, Bool?, Int64?, Date?, Bool?, Date?).self)
      if let id {
        inserted.stale.remove(id)
        if goes == true { inserted.turns.insert(id) }
        if let online { inserted.presence[id] = DevicePresence(online: online, since: since) }
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
