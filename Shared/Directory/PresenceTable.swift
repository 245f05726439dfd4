import FoundationEssentials
import Postgres

/// The table `device_presence` of a service that reads the uplink topic: what it heard of devices, by the way.
public enum PresenceTable {
  /// How much later than the word that a device is gone a packet of another session must have come, or what it said just
  /// before it left would keep it online. The registry's rule (docs/architecture.md).
  private static let margin = "interval '200 milliseconds'"

  /// Keeps what is news, each unless what is known is newer.
  /// - Returns: those that were known to be connected, and are.
  public static func keep(_ news: PresenceNews) -> PostgresQuery {
    let (ids, all) = (news.devices.map(\.key), news.devices.map(\.value))
    return """
      WITH told AS MATERIALIZED (
        SELECT u.*, p.online AS was_online, p.since AS was_since,
          u.word IS NOT NULL AND (p.since IS NULL OR u.word_at >= p.since) AS counts
        FROM unnest(
          \(ids)::text[], \(all.map { $0.word?.online })::boolean[], \(all.map { $0.word?.at })::timestamptz[],
          \(all.map(\.packetAt))::timestamptz[], \(all.map(\.orderedAt))::timestamptz[],
          \(all.map(\.retainedAt))::timestamptz[]
        ) AS u (id, word, word_at, packet_at, ordered_at, retained_at) LEFT JOIN device_presence p ON p.device_id = u.id
      ), said AS (
        SELECT *, CASE WHEN counts THEN word ELSE was_online END AS online,
          CASE WHEN counts THEN word_at ELSE was_since END AS said_at FROM told
      ), proven AS (
        SELECT *, CASE online WHEN true THEN NULL WHEN false THEN GREATEST(
            CASE WHEN packet_at > said_at + \(unescaped: margin) THEN packet_at END,
            CASE WHEN ordered_at >= said_at THEN ordered_at END)
          ELSE COALESCE(packet_at, ordered_at, retained_at) END AS proven_at FROM said
      ), written AS (
        INSERT INTO device_presence (device_id, online, since)
        SELECT id, COALESCE(proven_at IS NOT NULL OR online, false), COALESCE(proven_at, said_at) FROM proven
        WHERE (proven_at IS NOT NULL OR online) IS DISTINCT FROM was_online AND COALESCE(proven_at, said_at) IS NOT NULL
        ORDER BY id
        ON CONFLICT (device_id) DO UPDATE SET online = EXCLUDED.online, since = EXCLUDED.since
      )
      SELECT id FROM proven WHERE online AND was_online
      """
  }

  /// Devices that are no more are not there; a deviceId may have a new owner already.
  public static func forget(_ deviceIds: [String]) -> PostgresQuery {
    """
    DELETE FROM device_presence p WHERE device_id = ANY(\(deviceIds)::text[])
      AND NOT EXISTS (SELECT FROM directory_device d WHERE d.device_id = p.device_id)
    """
  }
}
