import BridgeDomain
import FoundationEssentials
import Observability
import Postgres
import Synchronization
import Wire

/// Which answers of devices with protocols of their own are heard: a table that all replicas share.
///
/// Who is to send a command whose answers are not heard yet notes their filter; who reads the session `status` subscribes to it
/// and says so; from then on the command may go. So no answer comes before there is an ear for it.
final class AnswerFilterTable: Sendable {
  private let database: PostgresClient
  private let logger: Logger
  /// Once one is subscribed it stays so.
  private let subscribed = Mutex<[String]>([])

  init(database: PostgresClient, logger: Logger) { (self.database, self.logger) = (database, logger) }

  /// Whether the answers that the filter takes are heard, as far as is known here.
  func hears(_ filter: String) -> Bool {
    subscribed.withLock { AnswerFilters.cover(filter, by: $0) }
  }

  /// Notes filters that are not heard, and looks which are by now. Trouble is logged: those who need them ask again.
  func want(_ filters: Set<String>) async {
    do {
      let refused = try await database.withTransaction { connection -> [String] in
        // One at a time, or two add what overlaps.
        try await connection.query("LOCK TABLE answer_filter IN SHARE ROW EXCLUSIVE MODE")
        let rows = try await connection.query("SELECT filter, subscribed FROM answer_filter ORDER BY filter")
          .decode((String, Bool).self)
        let known = rows.map(\.0)
        self.subscribed.withLock { $0 = rows.filter(\.1).map(\.0) }
        let missing = filters.filter { !AnswerFilters.cover($0, by: known) }.sorted()
        let added = AnswerFilters.additions(missing, to: known)
        if !added.isEmpty {
          try await connection.query(
            "INSERT INTO answer_filter (filter) SELECT * FROM unnest(\(added)::text[]) AS f")
        }
        return missing.filter { filter in !added.contains(filter) }
      }
      if !refused.isEmpty {
        logger.error(
          "answer topics that overlap with others, or are too many, are not heard: commands that need them cannot go",
          ["filters": refused.prefix(5).joined(separator: " ")])
      }
    } catch { logger.warning("the answer topics could not be noted", ["error": "\(error)"]) }
  }

  /// All that are to be subscribed to.
  func all() async throws -> [String] {
    try await database.query("SELECT filter FROM answer_filter ORDER BY filter").decode(String.self)
  }

  /// The session `status` is subscribed to these.
  func areSubscribed(_ filters: [String]) async throws {
    try await database.query(
      "UPDATE answer_filter SET subscribed = true WHERE filter = ANY(\(filters)::text[]) AND NOT subscribed")
  }
}
