import FoundationEssentials
import Postgres
import Wire

/// The table of what waits for Kafka: one row for each transaction, written in it, which holds all of its records packed
/// (DESIGN, section 2.2).
public enum Outbox {
  /// The statement that adds a row; it returns its id and time.
  static func insert(_ events: [Event]) -> PostgresQuery {
    "INSERT INTO outbox (records) VALUES (\(PackedRecords(events).bytes)) RETURNING id, created_at"
  }

  /// The ids after `last`, and those of `missing` that have come: ascending, at most `limit` new ones.
  static func ids(after last: Int64, or missing: [Int64], limit: Int) -> PostgresQuery {
    """
    SELECT id FROM outbox WHERE id = ANY(\(missing)::bigint[])
    UNION ALL
    (SELECT id FROM outbox WHERE id > \(last) ORDER BY id LIMIT \(Int64(limit)))
    """
  }

  /// The rows of these ids that are still there.
  static func rows(_ ids: [Int64]) -> PostgresQuery {
    "SELECT id, created_at, records FROM outbox WHERE id = ANY(\(ids)::bigint[]) ORDER BY id"
  }

  /// The ids of what is left after `floor` and not after `last`.
  static func left(after floor: Int64, upTo last: Int64, limit: Int) -> PostgresQuery {
    "SELECT id FROM outbox WHERE id > \(floor) AND id <= \(last) ORDER BY id LIMIT \(Int64(limit))"
  }

  /// Forgets rows that Kafka has, without waiting for the disk: one that comes back is only published again.
  static func delete(_ ids: [Int64]) -> [PostgresQuery] {
    [
      "SELECT set_config('synchronous_commit', 'off', true)",
      "DELETE FROM outbox WHERE id = ANY(\(ids)::bigint[])",
    ]
  }

  /// The id of the youngest row; null if there is none.
  static let last: PostgresQuery = "SELECT max(id) FROM outbox"

  /// Whether any row up to that id still waits.
  static func isAnyWaiting(upTo last: Int64) -> PostgresQuery {
    "SELECT EXISTS (SELECT FROM outbox WHERE id <= \(last))"
  }

  /// Whether a row still waits.
  static func isWaiting(_ id: Int64) -> PostgresQuery {
    "SELECT count(*) FROM outbox WHERE id = \(id)"
  }
}
