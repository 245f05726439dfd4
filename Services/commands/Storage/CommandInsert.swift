import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// A command to be stored, with the records that tell of it.
struct NewCommand: Sendable {
  let command: Command
  /// For the public topic.
  let created: Event
  /// For the bridge, if its turn is now.
  let downlink: Event
}

extension CommandStore {
  /// How many commands of one device may be at the broker unanswered: behind 60 expired messages Mosquitto 2.0.11
  /// delivers nothing more (DESIGN, section 2.5).
  static let window = 16

  /// Stores commands with their outbox records, all or none, in one statement.
  ///
  /// Those of a device that has `window` unanswered ones at the broker, or others that wait, wait behind them.
  /// - Returns: the ids of those whose turn is now, and the records.
  func insert(_ new: [NewCommand]) async throws -> (turns: Set<UUID>, records: OutboxRecords) {
    let commands = new.map(\.command)
    let rows = try await database.query(
      """
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
          \(commands.map(\.progress.deadline))::timestamptz[],
          \(commands.map { PostgresJSON(bytes: JSON.array($0.progress.timeline.map(\.json)).bytes) })::jsonb[],
          \(new.map { $0.created.text })::text[], \(new.map { $0.downlink.text })::text[]
        ) WITH ORDINALITY AS i (id, organisation_id, device_id, hardware_id, device_type, type, params, lane,
          created_at, created_by, deliver_seconds, acknowledge_seconds, complete_seconds, traceparent, deadline,
          timeline, created, downlink, number)
      ), before AS (
        SELECT o.device_id, bool_or(NOT o.dispatched) AS waiting,
          count(*) FILTER (WHERE o.dispatched AND c.status IN ('PENDING', 'SENT')) AS at_broker
        FROM open_command o JOIN command c USING (id)
        WHERE o.device_id = ANY(\(Array(Set(commands.map(\.head.deviceId))))::text[]) GROUP BY o.device_id
      ), turn AS MATERIALIZED (
        SELECT i.*, NOT COALESCE(b.waiting, false) AND COALESCE(b.at_broker, 0)
          + row_number() OVER (PARTITION BY i.device_id ORDER BY i.number) <= \(Int64(Self.window)) AS goes
        FROM input i LEFT JOIN before b USING (device_id)
      ), made AS (
        INSERT INTO command (id, organisation_id, device_id, hardware_id, device_type, type, params, lane, created_at,
          created_by, deliver_seconds, acknowledge_seconds, complete_seconds, traceparent, status, deadline, attempts,
          rev, timeline)
        SELECT id, organisation_id, device_id, hardware_id, device_type, type, params, lane, created_at, created_by,
          deliver_seconds, acknowledge_seconds, complete_seconds, traceparent, 'PENDING', deadline, goes::int, 1,
          timeline
        FROM turn ORDER BY number RETURNING id, seq
      ), opened AS (
        INSERT INTO open_command (id, seq, device_id, look_at, dispatched)
        SELECT t.id, m.seq, t.device_id,
          CASE WHEN t.goes THEN t.deadline ELSE LEAST(t.deadline, now() + interval '1 s') END, t.goes
        FROM turn t JOIN made m USING (id)
      ), told AS (
        INSERT INTO outbox (aggregatetype, aggregateid, type, payload, traceparent)
        SELECT topic, device_id, type, payload, traceparent FROM (
          SELECT number, 0 AS step, \(KafkaTopic.commandsEvents.rawValue) AS topic, device_id,
            \(CommandRecords.createdType) AS type, created AS payload, traceparent FROM turn
          UNION ALL
          SELECT number, 1, \(KafkaTopic.deviceDownlink.rawValue), device_id, \(Downlink.commandType), downlink,
            traceparent FROM turn WHERE goes
        ) AS records ORDER BY number, step RETURNING id, created_at
      )
      SELECT NULL, id, created_at FROM told UNION ALL SELECT id, NULL, NULL FROM turn WHERE goes
      """
    ).decode((UUID?, Int64?, Date?).self)
    var turns: Set<UUID> = []
    var places: [OutboxRecords.Place] = []
    for (turn, id, createdAt) in rows {
      if let turn { turns.insert(turn) }
      if let id, let createdAt { places.append((id, createdAt)) }
    }
    let records = new.flatMap {
      turns.contains($0.command.head.id) ? [$0.created, $0.downlink] : [$0.created]
    }
    return (turns, OutboxRecords(records, places: places.sorted { $0.id < $1.id }))
  }
}

extension Event {
  /// The payload as the outbox keeps it.
  var text: String? { payload.map { String(decoding: $0, as: UTF8.self) } }
}
