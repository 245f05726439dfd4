import Postgres

extension CommandStore {
  /// Gives the oldest waiting commands of these devices their turn, as many as the window has room for, and returns
  /// them. The commands of one device are taken in their order.
  ///
  /// Begins a transaction of its own: what it locks, it locks in one order.
  ///
  /// Only while the device is its organisation's: one that was deleted there and made anew by another gets nothing of
  /// the first.
  static func takeTurns(_ deviceIds: [String]) -> PostgresQuery {
    """
    WITH at_broker AS (
      SELECT o.device_id, count(*) AS number FROM open_command o JOIN command c USING (id)
      WHERE o.dispatched AND c.status IN ('PENDING', 'SENT') AND o.device_id = ANY(\(deviceIds)::text[])
      GROUP BY o.device_id
    ), ranked AS (
      SELECT id, device_id, row_number() OVER (PARTITION BY device_id ORDER BY seq) AS place FROM open_command
      WHERE NOT dispatched AND device_id = ANY(\(deviceIds)::text[])
    ), picked AS MATERIALIZED (
      SELECT c.id, c.deadline FROM ranked r LEFT JOIN at_broker b USING (device_id) JOIN command c ON c.id = r.id
      WHERE c.deadline IS NOT NULL AND r.place + COALESCE(b.number, 0) <= \(Int64(window))
        AND EXISTS (
          SELECT FROM directory_device d WHERE d.device_id = c.device_id AND d.organisation_id = c.organisation_id)
      ORDER BY c.id FOR UPDATE OF c
    ), taken AS (
      UPDATE open_command o SET dispatched = true, look_at = p.deadline FROM picked p
      WHERE o.id = p.id AND NOT o.dispatched RETURNING o.id
    )
    SELECT \(unescaped: movingColumns), params FROM command WHERE id IN (SELECT id FROM taken) ORDER BY seq
    """
  }
}
