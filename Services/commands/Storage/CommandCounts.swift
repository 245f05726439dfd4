import CommandsDomain
import FoundationEssentials
import Postgres

/// How many commands there are of each status: kept, since counting them reads the whole table. Each statement that makes or
/// moves commands adds its differences to `command_tally`, in its own transaction and without waiting for any other; the
/// sweeper adds them up in `command_count`. Both together are exact at every moment.
extension CommandStore {
  /// Counts by status, how many open commands are looked at, and how many of these should have been a second ago.
  struct Counts: Sendable {
    var byStatus: [String: Int64] = [:]
    var watched: Int64 = 0
    var overdue: Int64 = 0

    var created: Int64 { byStatus.values.reduce(0, +) }
    var open: Int64 {
      CommandStatus.allCases.filter(\.isOpen).reduce(0) { $0 + (byStatus[$1.rawValue] ?? 0) }
    }
    var openWithoutDeadline: Int64 { max(0, open - watched) }
  }

  /// Those of an organisation (of all, for nil). What is watched is read from the narrow table of what is open.
  func counts(in organisation: UUID?) async throws -> Counts {
    // One statement is one snapshot: the numbers belong together while commands move. Kept plans: one for all, and one that
    // finds an organisation's counts by their key.
    let all: PostgresQuery =
      """
      SELECT status, sum(number)::bigint FROM (
        SELECT status, number FROM command_count UNION ALL SELECT status, number FROM command_tally
      ) t GROUP BY status
      UNION ALL SELECT NULL, count(*) FROM open_command
      UNION ALL SELECT 'overdue', count(*) FROM open_command WHERE look_at < now() - interval '1 s'
      """
    let rows = try await database.query(organisation.map(Self.ofOne) ?? all)
    var counts = Counts()
    for row in rows {
      switch try row.decode((String?, Int64).self) {
      case (nil, let number): counts.watched = number
      case ("overdue", let number): counts.overdue = number
      case (let status?, let number): counts.byStatus[status] = number
      }
    }
    return counts
  }

  private static func ofOne(_ organisation: UUID) -> PostgresQuery {
    """
    SELECT status, sum(number)::bigint FROM (
      SELECT status, number FROM command_count WHERE organisation_id = \(organisation)
      UNION ALL SELECT status, number FROM command_tally WHERE organisation_id = \(organisation)
    ) t GROUP BY status
    UNION ALL SELECT NULL, count(*) FROM open_command WHERE organisation_id = \(organisation)
    UNION ALL SELECT 'overdue', count(*) FROM open_command
    WHERE look_at < now() - interval '1 s' AND organisation_id = \(organisation)
    """
  }

  /// Adds differences up. Replicas take different rows; those of one organisation wait for each other here, and nobody else.
  func addUp(limit: Int) async throws {
    try await database.query(
      """
      WITH taken AS (
        DELETE FROM command_tally WHERE ctid = ANY(ARRAY(
          SELECT ctid FROM command_tally LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED))
        RETURNING organisation_id, status, number
      )
      INSERT INTO command_count AS c (organisation_id, status, number)
      SELECT organisation_id, status, sum(number) FROM taken GROUP BY organisation_id, status
      ORDER BY organisation_id, status
      ON CONFLICT (organisation_id, status) DO UPDATE SET number = c.number + EXCLUDED.number
      """)
  }
}
