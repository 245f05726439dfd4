/// A connection on loan from the pool, for the length of a closure; afterwards it refuses to work.
///
/// Statements of concurrent tasks run one after the other.
public final class PostgresConnection: Sendable {
  private let session: Session
  private let lease: UInt64

  init(_ session: Session, _ lease: UInt64) {
    self.session = session
    self.lease = lease
  }

  /// Runs one statement, which stays prepared on this connection for the next time.
  /// - Throws: `PostgresError`; `CancellationError` if the task was cancelled, and then the statement was
  ///   stopped at the server.
  @discardableResult
  public func query(_ query: PostgresQuery) async throws -> PostgresRows {
    try await session.pipeline([query], lease: lease).first ?? PostgresRows(nil)
  }

  /// Runs statements in one round trip, all or none of them.
  /// - Throws: the error of the first that failed. Outside a transaction nothing has happened then; inside
  ///   one the transaction can only be rolled back.
  @discardableResult
  public func pipeline(_ queries: [PostgresQuery]) async throws -> [PostgresRows] {
    try await session.pipeline(queries, lease: lease)
  }

  /// Leaves statements whose answers nobody needs for the next round trip of the transaction: the next query's, or
  /// the commit's. An error of one fails that round trip.
  /// - Throws: `PostgresError` of kind `.usage` outside of `withTransaction`.
  public func enqueue(_ queries: [PostgresQuery]) async throws {
    try await session.enqueue(queries.map { .init(query: $0, answered: nil) }, lease: lease)
  }

  /// Leaves one statement for the next round trip, as above.
  /// - Parameter answered: called with its answer; what it says counts only once the transaction is committed.
  public func enqueue(
    _ query: PostgresQuery, answered: @escaping @Sendable (PostgresRows) -> Void
  ) async throws {
    try await session.enqueue([.init(query: query, answered: answered)], lease: lease)
  }

  /// Calls `body` once the transaction is committed, and never if it is not or its outcome is unknown.
  /// - Throws: `PostgresError` of kind `.usage` outside of `withTransaction`.
  public func afterCommit(_ body: @escaping @Sendable () -> Void) async throws {
    try await session.afterCommit(body, lease: lease)
  }

  /// Runs a script of several statements without parameters; outside a transaction it is one.
  ///
  /// Each statement has the server's time limit, and there is none of this side.
  public func execute(script: String) async throws {
    try await session.script(script, lease: lease)
  }
}
