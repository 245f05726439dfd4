import CommandsDomain
import FoundationEssentials
import Postgres
import Wire

extension CommandStore {
  /// Stores commands that are over from the beginning: those of a campaign that their device cannot get.
  static func insert(final commands: [Command]) -> PostgresQuery {
    let state = commands.map(\.state)
    return """
      WITH made AS (
        INSERT INTO command (\(unescaped: columnsAsMade), status, reason, completed_at,
          error_code, error_message, attempts, rev, timeline, bulk_id, retry_of,
          exclusive, wait_ms, device_record)
        SELECT * FROM unnest(
          \(asMade: commands),
          \(state.map(\.status.rawValue))::text[], \(state.map(\.reason))::text[],
          \(state.map(\.completedAt))::timestamptz[], \(state.map { $0.error?.code })::text[],
          \(state.map { $0.error?.message })::text[], \(state.map { Int32($0.attempts) })::int[],
          \(state.map(\.rev))::bigint[], \(state.map(\.timelineText))::text[], \(commands.map(\.bulkId))::uuid[],
          \(commands.map(\.retryOf))::uuid[], \(commands.map(\.delivery.isExclusive))::boolean[],
          \(commands.map(\.delivery.waitMilliseconds))::bigint[], \(commands.map(\.deviceRecord))::uuid[]
        ) AS i
        RETURNING organisation_id, status
      )
      INSERT INTO command_tally (organisation_id, status, number)
      SELECT organisation_id, status, count(*) FROM made GROUP BY organisation_id, status
      """
  }
}

extension CommandStore {
  /// These commands as they are now, locked.
  static func lock(moving ids: [UUID]) -> PostgresQuery {
    "SELECT \(unescaped: movingColumns) FROM command WHERE id = ANY(\(ids)::uuid[]) ORDER BY id FOR UPDATE"
  }

  /// Ties commands to those for which they were made once more, which are locked.
  static func link(_ retries: [(id: UUID, original: UUID)]) -> [PostgresQuery] {
    let (ids, originals) = (retries.map(\.id), retries.map(\.original))
    return [
      """
      UPDATE command c SET retry_of = u.original FROM unnest(\(ids)::uuid[], \(originals)::uuid[]) AS u (id, original)
      WHERE c.id = u.id AND c.retry_of IS NULL
      """,
      """
      UPDATE command c SET retried_by = u.id FROM unnest(\(ids)::uuid[], \(originals)::uuid[]) AS u (id, original)
      WHERE c.id = u.original
      """,
    ]
  }
}
