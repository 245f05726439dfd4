import FoundationEssentials
import Postgres
import Wire

/// Keeps changes of devices and changes of groups of one organisation from passing each other by: without it, a device
/// that is changed while a group's query is would be judged by neither.
///
/// An advisory lock of the transaction, taken before any row: who changes devices shares it, who changes a group has it
/// alone. Rows would not do, since a group that is just made has none yet.
///
/// From then on nobody waits longer than `patience` for a lock, this one or a row's: whoever waits holds one of the pool's
/// connections, and those of one organisation must not hold all. It is tried again
/// with another connection some times, then answered with 503 (`PostgresError.refusal`).
enum GroupLock {
  /// Taken with the transaction's next round trip.
  static func share(_ organisation: UUID, on connection: PostgresConnection) async throws {
    try await connection.enqueue([
      "SELECT \(unescaped: patience), pg_advisory_xact_lock_shared(\(unescaped: key)\(organisation.text), 0))"
    ])
  }

  static func alone(_ organisation: UUID, on connection: PostgresConnection) async throws {
    try await connection.enqueue([
      "SELECT \(unescaped: patience), pg_advisory_xact_lock(\(unescaped: key)\(organisation.text), 0))"
    ])
  }

  /// What a statement selects first is done before it waits.
  private static let patience = "set_config('lock_timeout', '2s', true)"

  /// Advisory locks are the database's, so the schema is mixed in.
  private static let key = "hashtextextended('martlet.registry.groups ' || current_schema() || ' ' || "
}
