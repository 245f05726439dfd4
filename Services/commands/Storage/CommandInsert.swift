import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Threads
import Wire

extension CommandStore {
  /// What became of an insert.
  struct Inserted: Sendable {
    /// Those whose turn is now.
    var turns: Set<UUID> = []
    /// Those whose device is not as the directory had it when it was looked up: they are not stored.
    var stale: Set<UUID> = []
    /// Whether the devices of those that are stored are connected; without those never heard from.
    var presence: [UUID: DevicePresence] = [:]
  }

  /// Stores commands and tells of them, with the transaction.
  ///
  /// Those wait that stand behind others of their lane, that the window has no room for (`LaneAdmission`), that are held until
  /// their device is heard from, and those of a device that is known not to listen: decided under the devices' locks, since
  /// another replica may store commands of theirs at the same moment.
  /// - Parameter epoch: what the records say; if it is not the newest, nothing is stored, and all are `stale`.
  static func insert(
    _ new: [NewCommand], epoch: Int64, telling outbox: OutboxRelay, on connection: PostgresConnection
  ) async throws -> Inserted {
    let forConfig = new.filter { $0.command.head.action != nil }.map(\.command.head.deviceId)
    var rooms = try await DeviceRooms(
      for: new, epoch: epoch, after: forConfig.isEmpty ? [] : [lock(waiting: forConfig)], on: connection)
    var inserted = Inserted()
    var stored: [(new: NewCommand, goes: Bool)] = []
    var events: [Event] = []
    for item in new {
      let command = item.command
      guard let goes = rooms.admits(item) else {
        inserted.stale.insert(command.head.id)
        continue
      }
      stored.append((item, goes))
      events.append(item.created)
      if goes {
        events.append(item.downlink)
        inserted.turns.insert(command.head.id)
      }
      inserted.presence[command.head.id] = rooms.presence[command.head.deviceId]
    }
    guard !stored.isEmpty else { return inserted }
    try await connection.enqueue(statements(stored, epoch: epoch))
    if !forConfig.isEmpty { try await connection.enqueue([lookNow(ifFree: forConfig)]) }
    try await outbox.tell(events, on: connection)
    return inserted
  }

  /// The same where all of them may well go at once, as most do: everything goes with the commit.
  ///
  /// A missed guard, if one may not, or its device is not as it was looked up.
  /// - Returns: whether the devices are connected, by deviceId, once it is committed.
  static func insert(
    goingAtOnce new: [NewCommand], epoch: Int64, telling outbox: OutboxRelay,
    on connection: PostgresConnection
  ) async throws -> Locked<[String: DevicePresence]> {
    let presence = Locked<[String: DevicePresence]>([:])
    try await DeviceRooms.expect(for: new, epoch: epoch, on: connection) { device, told in
      presence.withLock { $0[device] = told }
    }
    try await connection.enqueue(statements(new.map { ($0, true) }, epoch: epoch))
    try await outbox.tell(new.flatMap { [$0.created, $0.downlink] }, on: connection)
    return presence
  }

  private static func statements(_ stored: [(new: NewCommand, goes: Bool)], epoch: Int64) -> [PostgresQuery] {
    var statements = [insert(stored.map(\.new.command), goes: stored.map(\.goes), epoch: epoch)]
    let waits = Set(stored.lazy.filter { !$0.goes }.map(\.new.command.head.deviceId))
    if !waits.isEmpty {
      statements.append(
        """
        INSERT INTO waiting_device (device_id, try_at) SELECT id, now() + interval '1 s'
        FROM unnest(\(waits.sorted())::text[]) AS w (id) ON CONFLICT (device_id) DO NOTHING
        """)
    }
    return statements
  }

  private static func insert(_ commands: [Command], goes: [Bool], epoch: Int64) -> PostgresQuery {
    """
    WITH input AS MATERIALIZED (
      SELECT *, nextval('command_seq_seq') AS seq FROM unnest(
        \(asMade: commands),
        \(commands.map(\.state.deadline))::timestamptz[], \(commands.map(\.state.timelineText))::text[],
        \(commands.map(\.deviceRecord))::uuid[], \(commands.map(\.bulkId))::uuid[],
        \(commands.map(\.delivery.isExclusive))::boolean[], \(commands.map(\.delivery.waitMilliseconds))::bigint[],
        \(commands.map { $0.own.map { PostgresJSONText(bytes: $0.json.bytes) } })::json[],
        \(commands.map { $0.own?.answerTopic })::text[], \(goes)::boolean[]
      ) AS i (\(unescaped: columnsAsMade), deadline, timeline, device_record, bulk_id, exclusive, wait_ms, own,
        answer_topic, goes)
    ), made AS (
      INSERT INTO command (\(unescaped: columnsAsMade), seq, status, deadline, attempts, rev, timeline, bulk_id,
        exclusive, wait_ms, device_record, own)
      OVERRIDING SYSTEM VALUE
      SELECT \(unescaped: columnsAsMade), seq, 'PENDING', deadline, goes::int, 1,
        timeline, bulk_id, exclusive, wait_ms, device_record, own
      FROM input
    ), counted AS (
      INSERT INTO command_tally (organisation_id, status, number)
      SELECT organisation_id, 'PENDING', count(*) FROM input GROUP BY organisation_id
    )
    INSERT INTO open_command (id, seq, device_id, look_at, epoch, device_record, organisation_id, lane, exclusive,
      awaits_device, answer_topic)
    SELECT id, seq, device_id, deadline, CASE WHEN goes THEN \(epoch) END, device_record, organisation_id, lane,
      exclusive, wait_ms IS NOT NULL, answer_topic
    FROM input
    """
  }
}
