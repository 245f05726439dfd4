import CommandsDomain
import FoundationEssentials
import Postgres
import Wire

/// Who goes next is decided under the device's lock: `waiting_device` says which devices to look at and when, and whoever looks
/// gives those their turn that `LaneWindow` names.
extension CommandStore {
  /// How long nothing is looked at again that was given its turn, and for how long at most what nobody listens to.
  private static let pause: (served: String, most: Int) = ("10 s", 300)

  /// Of `c`: what config does is not at the broker and not lost with it. It takes no place, nobody has to listen, and it is not
  /// handed over again (decision 27).
  static let isForDevice =
    "c.type NOT IN (\(BindingRequest.Action.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")))"

  // MARK: When to look

  /// Locks the rows of devices for which something waits, before the devices: they are looked at at once when more is stored of
  /// which something may be for config, which does not wait until somebody listens. Only that: who stores with the device's lock
  /// held waits for a row that is being changed, and not for one that is locked.
  static func lock(waiting deviceIds: [String]) -> PostgresQuery {
    "SELECT FROM waiting_device WHERE device_id = ANY(\(deviceIds)::text[]) ORDER BY device_id FOR UPDATE"
  }

  /// Locks the rows of these devices and looks at once at those that listen: that were heard of, or had one delivered after
  /// others were not.
  /// - Parameter mayBeHeld: whether anything may be held until it is heard from; if not and something is, a guard is missed.
  /// - Returns: each that has commands to look at, and whether any of these are held until it is heard from.
  static func look(heard: [String], delivered: [String], concerned: [String], ifHeld mayBeHeld: Bool)
    -> PostgresQuery
  {
    """
    WITH mine AS MATERIALIZED (
      SELECT device_id, device_id = ANY(\(heard)::text[]) OR failures > 0 AND device_id = ANY(\(delivered)::text[]) AS listens
      FROM waiting_device WHERE device_id = ANY(\(heard + delivered + concerned)::text[])
      ORDER BY device_id FOR UPDATE
    ), told AS (
      UPDATE waiting_device w SET try_at = now(), failures = 0, idle_looks = 0 FROM mine m
      WHERE w.device_id = m.device_id AND m.listens RETURNING w.device_id,
        EXISTS (SELECT FROM open_command o WHERE o.device_id = w.device_id AND o.awaits_device) AS holds
    )
    SELECT device_id, holds FROM told CROSS JOIN (
      SELECT expect_count(count(*) FILTER (WHERE holds AND NOT \(mayBeHeld)), 0) FROM told
    ) AS guard
    """
  }

  /// Locks the rows of the devices of these commands, before those (docs/decisions/0016-turns.md, order of locks).
  static func lock(devicesOf ids: [UUID]) -> PostgresQuery {
    """
    SELECT FROM waiting_device WHERE device_id = ANY(ARRAY(SELECT device_id FROM command WHERE id = ANY(\(ids)::uuid[])))
    ORDER BY device_id FOR UPDATE
    """
  }

  /// Looks at once at these, whose rows are locked if others are: they may have room, or what was behind an exclusive one may go.
  static func lookNow(_ deviceIds: [String]) -> PostgresQuery {
    "UPDATE waiting_device SET try_at = now() WHERE device_id = ANY(\(deviceIds)::text[])"
  }

  /// The same where rows are not locked yet: whoever has one that came meanwhile waits for the device's lock, and looks then.
  static func lookNow(ifFree deviceIds: [String]) -> PostgresQuery {
    """
    UPDATE waiting_device SET try_at = now() WHERE device_id IN (
      SELECT device_id FROM waiting_device WHERE device_id = ANY(\(deviceIds)::text[]) ORDER BY device_id FOR UPDATE SKIP LOCKED)
    """
  }

  /// Those that are held until their device is heard from, of devices of which something has come, created before that.
  static func held(of deviceIds: [String], heardAt times: [Date]) -> PostgresQuery {
    """
    SELECT \(unescaped: movingColumns) FROM command WHERE id = ANY(ARRAY(
      SELECT o.id FROM unnest(\(deviceIds)::text[], \(times)::timestamptz[]) AS h (device_id, at)
      CROSS JOIN LATERAL (SELECT id FROM open_command w WHERE w.device_id = h.device_id AND w.awaits_device) o
      JOIN command c ON c.id = o.id WHERE c.created_at <= h.at))
    """
  }

  /// These are held no more.
  static func letGo(_ ids: [UUID], at time: Date) -> [PostgresQuery] {
    [
      "UPDATE command SET heard_at = \(time) WHERE id = ANY(\(ids)::uuid[])",
      "UPDATE open_command SET awaits_device = false WHERE id = ANY(\(ids)::uuid[])",
    ]
  }

  /// What is unanswered of these commands and these devices waits for its turn again, which is now: the device has come back
  /// and may have lost it.
  static func requeue(_ ids: [UUID], of deviceIds: [String]) -> PostgresQuery {
    """
    WITH again AS (
      UPDATE open_command o SET epoch = NULL FROM command c
      WHERE o.id = ANY(\(ids)::uuid[]) AND o.epoch IS NOT NULL AND c.id = o.id AND c.status IN ('PENDING', 'SENT')
        AND \(unescaped: isForDevice) AND o.device_id = ANY(\(deviceIds)::text[]) RETURNING o.device_id
    )
    INSERT INTO waiting_device (device_id, try_at) SELECT DISTINCT device_id, now() FROM again ORDER BY device_id
    ON CONFLICT (device_id) DO UPDATE SET try_at = now(), failures = 0, idle_looks = 0
    """
  }

  /// Nobody listened: these wait for their device, which is tried again after 1, 2, 4 … 300 s.
  static func waitForDevice(_ ids: [UUID], of deviceIds: [String]) -> PostgresQuery {
    """
    WITH back AS (UPDATE open_command SET epoch = NULL WHERE id = ANY(\(ids)::uuid[]))
    INSERT INTO waiting_device (device_id, try_at, failures)
    SELECT id, now() + interval '1 s', 1 FROM unnest(\(deviceIds.sorted())::text[]) AS d (id)
    ON CONFLICT (device_id) DO UPDATE SET failures = LEAST(waiting_device.failures + 1, 20),
      try_at = now() + LEAST(power(2, waiting_device.failures), \(unescaped: "\(pause.most)")) * interval '1 s'
    """
  }

  /// The bridge did not try these, since it was not their turn: when their device is looked at is known already, or now.
  static func waitForTurn(_ ids: [UUID], of deviceIds: [String]) -> PostgresQuery {
    """
    WITH back AS (UPDATE open_command SET epoch = NULL WHERE id = ANY(\(ids)::uuid[]))
    INSERT INTO waiting_device (device_id, try_at) SELECT id, now() FROM unnest(\(deviceIds.sorted())::text[]) AS d (id)
    ON CONFLICT (device_id) DO NOTHING
    """
  }

  // MARK: Turns

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

  /// Whether there is a device to look at: cheaper than a transaction that finds none.
  func isAnyDeviceDue() async throws -> Bool {
    try await database.query("SELECT FROM waiting_device WHERE try_at <= now() LIMIT 1").count > 0
  }

  /// Devices whose time has come, locked, and whether they listen as far as is known: every replica takes others.
  static func dueDevices(limit: Int) -> PostgresQuery {
    """
    SELECT device_id, failures = 0 FROM waiting_device WHERE try_at <= now() ORDER BY try_at LIMIT \(Int64(limit))
    FOR UPDATE SKIP LOCKED
    """
  }

  /// What is open of these devices, as far as it may matter for who goes next: all that the bridge was given, and of each lane
  /// the oldest that wait, as many as could go.
  ///
  /// What waits of a device is found lane by lane, so that a long one costs no more than a short one.
  static func queues(_ deviceIds: [String]) -> PostgresQuery {
    """
    WITH RECURSIVE lane AS (
      SELECT d.id AS device_id, (
        SELECT o.lane FROM open_command o WHERE o.device_id = d.id AND o.epoch IS NULL ORDER BY o.lane LIMIT 1
      ) AS name FROM unnest(\(deviceIds)::text[]) AS d (id)
      UNION ALL
      SELECT l.device_id, (
        SELECT o.lane FROM open_command o WHERE o.device_id = l.device_id AND o.epoch IS NULL AND o.lane > l.name
        ORDER BY o.lane LIMIT 1
      ) FROM lane l WHERE l.name IS NOT NULL
    ), counted AS (SELECT *, count(*) OVER (PARTITION BY device_id) AS lanes FROM lane WHERE name IS NOT NULL)
    SELECT w.id, l.device_id, l.name AS lane, w.seq, w.exclusive, w.awaits_device, true AS waits, false AS is_taken,
      EXISTS (SELECT FROM command c WHERE c.id = w.id AND \(unescaped: isForDevice)) AS for_device
    FROM counted l CROSS JOIN LATERAL (
      SELECT id, seq, exclusive, awaits_device FROM open_command o
      WHERE o.device_id = l.device_id AND o.lane = l.name AND o.epoch IS NULL
      -- Where there are more lanes than places, each can only have one more.
      ORDER BY seq LIMIT CASE WHEN l.lanes > \(Int64(LaneWindow.size)) THEN 1 ELSE \(Int64(LaneWindow.size)) END
    ) w
    UNION ALL
    SELECT g.id, d.id, g.lane, g.seq, g.exclusive, false, \(unescaped: isForDevice) AND g.epoch <> e.epoch AND c.status <> 'ACKNOWLEDGED',
      \(unescaped: isForDevice) AND g.epoch = e.epoch AND c.status <> 'ACKNOWLEDGED', \(unescaped: isForDevice)
    FROM broker_epoch e CROSS JOIN unnest(\(deviceIds)::text[]) AS d (id) CROSS JOIN LATERAL (
      SELECT id, lane, seq, exclusive, epoch FROM open_command o WHERE o.device_id = d.id AND o.epoch IS NOT NULL
    ) g JOIN command c ON c.id = g.id
    """
  }

  /// Gives these commands their turn and returns them with their params, the epoch and the turn's number, which grows for each
  /// device, since its lock is held.
  ///
  /// Only those that are still open, and whose device is there: one that was deleted and made anew gets nothing of the first.
  static func takeTurns(_ ids: [UUID]) -> PostgresQuery {
    """
    WITH now_at AS MATERIALIZED (SELECT epoch, nextval('turn_number') AS turn FROM broker_epoch), picked AS MATERIALIZED (
      SELECT c.id FROM command c JOIN open_command o USING (id)
      WHERE c.id = ANY(\(ids)::uuid[]) AND c.deadline IS NOT NULL AND EXISTS (
          SELECT FROM directory_device d WHERE d.device_id = c.device_id AND d.organisation_id = c.organisation_id
            AND (o.device_record IS NULL OR o.device_record = d.id))
      ORDER BY c.id FOR UPDATE OF c
    ), taken AS (
      UPDATE open_command o SET epoch = e.epoch FROM picked p, now_at e WHERE o.id = p.id RETURNING o.id
    )
    SELECT \(unescaped: movingColumns), params, own, epoch, turn, device_record, created_by FROM command, now_at
    WHERE id IN (SELECT id FROM taken) ORDER BY seq
    """
  }

  /// When to look again at devices that were looked at: those for which nothing waits are forgotten, those for which nothing
  /// could be done are looked at less and less often.
  /// - Parameter served: those that were given a turn. If it fails, that is reported.
  static func looked(_ deviceIds: [String], served: [String]) -> [PostgresQuery] {
    [
      """
      DELETE FROM waiting_device w WHERE device_id = ANY(\(deviceIds)::text[])
        AND NOT device_id = ANY(\(served)::text[])
        AND NOT EXISTS (SELECT FROM open_command o WHERE o.device_id = w.device_id AND o.epoch IS NULL)
        AND NOT EXISTS (
          SELECT FROM open_command o JOIN command c USING (id)
          WHERE o.device_id = w.device_id AND o.epoch IS NOT NULL AND o.epoch < (SELECT epoch FROM broker_epoch)
            AND c.status IN ('PENDING', 'SENT') AND \(unescaped: isForDevice))
      """,
      """
      UPDATE waiting_device SET
        idle_looks = CASE WHEN device_id = ANY(\(served)::text[]) THEN 0 ELSE LEAST(idle_looks + 1, 20) END,
        try_at = now() + CASE WHEN device_id = ANY(\(served)::text[]) THEN interval '\(unescaped: pause.served)'
          ELSE LEAST(power(2, failures + idle_looks), \(unescaped: "\(pause.most)")) * interval '1 s' END
      WHERE device_id = ANY(\(deviceIds)::text[])
      """,
    ]
  }

  // MARK: Epochs

  /// A bridge is connected to the broker anew. What was handed over before waits again from here on, however much it is:
  /// `walk` only wakes its devices.
  /// - Parameter offset: of the announcement. A topic that was made anew counts from 0 again: the epoch still grows.
  static func begin(epoch offset: Int64) -> PostgresQuery {
    """
    UPDATE broker_epoch SET epoch = GREATEST(epoch + 1, \(offset)), walked_device = '', walked_seq = 0
    """
  }

  /// The newest.
  func epoch() async throws -> Int64 {
    try await database.query("SELECT epoch FROM broker_epoch").first?.decode(Int64.self) ?? 0
  }

  /// Wakes the devices of the next `limit` commands that an older epoch was given.
  /// - Returns: a row with whether it is done; none if another replica walks, or nothing is to be walked.
  static func walk(limit: Int) -> PostgresQuery {
    """
    WITH at AS MATERIALIZED (
      SELECT epoch, walked_device, walked_seq FROM broker_epoch WHERE walked_device IS NOT NULL FOR UPDATE SKIP LOCKED
    ), page AS MATERIALIZED (
      SELECT o.device_id, o.seq, o.epoch < at.epoch AS is_old FROM at CROSS JOIN LATERAL (
        SELECT device_id, seq, epoch FROM open_command
        WHERE epoch IS NOT NULL AND (device_id, seq) > (at.walked_device, at.walked_seq)
        ORDER BY device_id, seq LIMIT \(Int64(limit))
      ) o
    ), last AS (SELECT device_id, seq FROM page ORDER BY device_id DESC, seq DESC LIMIT 1), woken AS (
      INSERT INTO waiting_device (device_id, try_at)
      SELECT DISTINCT device_id, now() FROM page WHERE is_old ORDER BY device_id
      ON CONFLICT (device_id) DO UPDATE SET try_at = now(), failures = 0, idle_looks = 0
    )
    UPDATE broker_epoch SET walked_device = (SELECT device_id FROM last), walked_seq = (SELECT seq FROM last)
    FROM at RETURNING broker_epoch.walked_device IS NULL
    """
  }
}
