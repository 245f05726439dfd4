import Directory
import FoundationEssentials
import Postgres

extension CommandStore {
  /// Open commands of devices that are no more, locked in one order, at most `limit`.
  ///
  /// By the record id: a deviceId may have a new owner, whose commands these are not. Commands that do not know it, from
  /// before the column, are its if nobody of their organisation has that deviceId now.
  static func open(ofDeleted devices: [DeletedDevice], limit: Int) -> PostgresQuery {
    """
    WITH picked AS MATERIALIZED (
      SELECT o.id FROM unnest(\(devices.map(\.id))::uuid[], \(devices.map(\.deviceId))::text[]) AS x (id, device_id)
      CROSS JOIN LATERAL (
        SELECT id, device_id, device_record FROM open_command WHERE device_id = x.device_id AND epoch IS NULL
        UNION ALL
        SELECT id, device_id, device_record FROM open_command WHERE device_id = x.device_id AND epoch IS NOT NULL
      ) o JOIN command c ON c.id = o.id
      WHERE o.device_record = x.id OR o.device_record IS NULL AND NOT EXISTS (
        SELECT FROM directory_device d WHERE d.device_id = o.device_id AND d.organisation_id = c.organisation_id)
      LIMIT \(Int64(limit))
    )
    SELECT \(unescaped: movingColumns) FROM command WHERE id IN (SELECT id FROM picked) ORDER BY id FOR UPDATE
    """
  }
}
