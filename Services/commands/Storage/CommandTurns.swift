import FoundationEssentials
import Postgres

/// The order of each device's commands is decided here alone: `waiting_device` says which devices to look at and when, and
/// whoever looks gives the oldest waiting ones their turn, under the device's lock.
extension CommandStore {
  /// How long nothing is looked at again that was given its turn, and for how long at most what nobody listens to.
  private static let pause: (served: String, most: Int) = ("10 s", 300)

  // MARK: When to look

  /// Locks the rows of these devices and looks at once at those that listen: that were heard of, or had one delivered after
  /// others were not.
  /// - Returns: a row for each that has commands to look at.
  static func look(heard: [String], delivered: [String], concerned: [String]) -> PostgresQuery {
    """
    WITH mine AS MATERIALIZED (
      SELECT device_id, device_id = ANY(\(heard)::text[]) OR failures > 0 AND device_id = ANY(\(delivered)::text[]) AS listens
      FROM waiting_device WHERE device_id = ANY(\(heard + delivered + concerned)::text[])
      ORDER BY device_id FOR UPDATE
    )
    UPDATE waiting_device w SET try_at = now(), failures = 0 FROM mine m
    WHERE w.device_id = m.device_id AND m.listens RETURNING 1
    """
  }

  /// Looks at once at these: they may have room. One that is locked is being looked at.
  static func lookNow(_ deviceIds: [String]) -> PostgresQuery {
    """
    UPDATE waiting_device SET try_at = now() WHERE device_id IN (
      SELECT device_id FROM waiting_device WHERE device_id = ANY(\(deviceIds)::text[]) FOR UPDATE SKIP LOCKED)
    """
  }

  /// What is unanswered of these commands and these devices waits for its turn again, which is now: the device has come back
  /// and may have lost it.
  static func requeue(_ ids: [UUID], of deviceIds: [String]) -> PostgresQuery {
    """
    WITH again AS (
      UPDATE open_command o SET epoch = NULL FROM command c
      WHERE o.id = ANY(\(ids)::uuid[]) AND o.epoch IS NOT NULL AND c.id = o.id AND c.status IN ('PENDING', 'SENT')
        AND o.device_id = ANY(\(deviceIds)::text[]) RETURNING o.device_id
    )
    INSERT INTO waiting_device (device_id, try_at) SELECT DISTINCT device_id, now() FROM again ORDER BY device_id
    ON CONFLICT (device_id) DO UPDATE SET try_at = now(), failures = 0
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

  /// Whether there is a device to look at: cheaper than a transaction that finds none.
  func isAnyDeviceDue() async throws -> Bool {
    try await database.query("SELECT FROM waiting_device WHERE try_at <= now() LIMIT 1").count > 0
  }

  /// Devices whose time has come, locked: every replica takes others.
  static func dueDevices(limit: Int) -> PostgresQuery {
    """
    SELECT device_id FROM waiting_device WHERE try_at <= now() ORDER BY try_at LIMIT \(Int64(limit))
    FOR UPDATE SKIP LOCKED
    """
  }

  /// Gives the oldest waiting commands of these devices their turn, as many as the window has room for, and returns them
  /// with their params, the epoch and the turn's number, which grows for each device, since its lock is held. Where the last
  /// look was in vain, only one is tried.
  ///
  /// Only while the device is there: one that was deleted and made anew gets nothing of the first.
  static func takeTurns(_ deviceIds: [String]) -> PostgresQuery {
    """
    WITH now_at AS MATERIALIZED (SELECT epoch, nextval('turn_number') AS turn FROM broker_epoch), given AS MATERIALIZED (
      SELECT o.id, o.device_id, o.seq, o.epoch = e.epoch AS is_there
      FROM now_at e CROSS JOIN unnest(\(deviceIds)::text[]) AS d (device_id)
      CROSS JOIN LATERAL (
        SELECT id, device_id, seq, epoch FROM open_command g WHERE g.device_id = d.device_id AND g.epoch IS NOT NULL
      ) o JOIN command c ON c.id = o.id AND c.status IN ('PENDING', 'SENT')
    ), waiting AS (
      SELECT id, device_id, seq FROM given WHERE NOT is_there
      UNION ALL
      SELECT w.id, d.device_id, w.seq FROM unnest(\(deviceIds)::text[]) AS d (device_id)
      CROSS JOIN LATERAL (
        SELECT id, seq FROM open_command o WHERE o.device_id = d.device_id AND o.epoch IS NULL
        ORDER BY seq LIMIT \(Int64(window))
      ) w
    ), ranked AS (
      SELECT id, device_id, row_number() OVER (PARTITION BY device_id ORDER BY seq) AS place FROM waiting
    ), picked AS MATERIALIZED (
      SELECT c.id FROM ranked r JOIN waiting_device w USING (device_id)
      JOIN open_command o ON o.id = r.id JOIN command c ON c.id = r.id
      WHERE (w.failures = 0 OR r.place = 1) AND r.place + (SELECT count(*) FROM given g WHERE g.device_id = r.device_id AND g.is_there)
          <= \(Int64(window))
        AND c.deadline IS NOT NULL AND EXISTS (
          SELECT FROM directory_device d WHERE d.device_id = c.device_id AND d.organisation_id = c.organisation_id
            AND (o.device_record IS NULL OR o.device_record = d.id))
      ORDER BY c.id FOR UPDATE OF c
    ), taken AS (
      UPDATE open_command o SET epoch = e.epoch FROM picked p, now_at e WHERE o.id = p.id RETURNING o.id
    )
    SELECT \(unescaped: movingColumns), params, epoch, turn FROM command, now_at
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
            AND c.status IN ('PENDING', 'SENT'))
      """,
      """
      UPDATE waiting_device SET
        failures = CASE WHEN device_id = ANY(\(served)::text[]) THEN failures ELSE LEAST(failures + 1, 20) END,
        try_at = now() + CASE WHEN device_id = ANY(\(served)::text[]) THEN interval '\(unescaped: pause.served)'
          ELSE LEAST(power(2, failures), \(unescaped: "\(pause.most)")) * interval '1 s' END
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
      ON CONFLICT (device_id) DO UPDATE SET try_at = now(), failures = 0
    )
    UPDATE broker_epoch SET walked_device = (SELECT device_id FROM last), walked_seq = (SELECT seq FROM last)
    FROM at RETURNING broker_epoch.walked_device IS NULL
    """
  }
}
