import CommandsDomain
import FoundationEssentials
import Postgres

/// Commands that are to be kept no longer. The counts go with them, in the same statement: what is kept is what is counted.
extension CommandStore {
  /// One, which is over.
  static func delete(_ id: UUID) -> PostgresQuery {
    """
    WITH gone AS (DELETE FROM command m WHERE id = \(id) RETURNING organisation_id, status, bulk_id, reason),
    \(unescaped: ofCampaigns)
    INSERT INTO command_tally (organisation_id, status, number) SELECT organisation_id, status, -1 FROM gone
    """
  }

  /// What is `gone` still counts in its campaign, as what it was.
  private static let ofCampaigns = """
    told AS (
      INSERT INTO campaign_gone (campaign_id, outcome, number)
      SELECT m.bulk_id, \(CampaignStore.outcome), count(*) FROM gone m WHERE m.bulk_id IS NOT NULL GROUP BY 1, 2
    )
    """

  /// What one step of a purge came to.
  struct Purged: Sendable {
    let deleted: Int64
    /// The `seq` after which to go on; nil when nothing older is left.
    let last: Int64?
  }

  /// How many commands a step looks at: so many rows are locked at a time, for some milliseconds.
  private static let page: Int64 = 500

  /// Deletes those of the next page that are over and were created before `cutoff`.
  ///
  /// In the order of creation, so that it ends where the young ones begin and costs by what is old. One that is being moved at
  /// this moment is passed over: whoever waited for it could be waited for by its mover.
  /// - Parameter last: where the page before ended.
  func purge(in organisation: UUID, before cutoff: Date, after last: Int64) async throws -> Purged {
    let final = CommandStatus.allCases.filter { !$0.isOpen }.map(\.rawValue)
    let rows = try await database.query(
      """
      WITH page AS MATERIALIZED (
        SELECT id, seq, created_at, status FROM command WHERE organisation_id = \(organisation) AND seq > \(last)
        ORDER BY seq LIMIT \(Self.page)
      ), locked AS MATERIALIZED (
        SELECT id FROM command WHERE id = ANY(ARRAY(
          SELECT id FROM page WHERE created_at < \(cutoff) AND status = ANY(\(final)::text[]))) FOR UPDATE SKIP LOCKED
      ), gone AS (
        DELETE FROM command WHERE id = ANY(ARRAY(SELECT id FROM locked)) RETURNING organisation_id, status, bulk_id, reason
      ), \(unescaped: Self.ofCampaigns), counted AS (
        INSERT INTO command_tally (organisation_id, status, number)
        SELECT organisation_id, status, -count(*) FROM gone GROUP BY organisation_id, status
      )
      SELECT (SELECT count(*) FROM gone), max(seq), count(*), COALESCE(min(created_at) < \(cutoff), false) FROM page
      """)
    guard let row = rows.first else { return Purged(deleted: 0, last: nil) }
    let (deleted, reached, looked, isOld) = try row.decode((Int64, Int64?, Int64, Bool).self)
    return Purged(deleted: deleted, last: looked == Self.page && isOld ? reached : nil)
  }

  /// Ties a command to the one for which it was made once more.
  static func link(_ id: UUID, retryOf original: UUID) -> [PostgresQuery] {
    [
      "UPDATE command SET retry_of = \(original) WHERE id = \(id)",
      "UPDATE command SET retried_by = \(id) WHERE id = \(original)",
    ]
  }
}
