import Loop
import Observability

/// A pool of connections to one database.
///
/// `run()` has to be running: it opens the connections, as they are needed, and keeps them up.
///
/// ```swift
/// let client = PostgresClient(configuration: configuration, loop: loop, logger: logger)
/// async let running: Void = client.run()
/// let rows = try await client.query("SELECT name FROM device WHERE id = \(id)")
/// for row in rows { print(try row.decode(String.self)) }
/// ```
public final class PostgresClient: Sendable {
  let configuration: PostgresConfiguration
  /// Where it lives.
  public let loop: EventLoop
  let logger: Logger
  private let pool: ConnectionPool

  /// A client that connects nowhere before `run()`.
  /// - Parameter loop: where its connections live.
  public init(configuration: PostgresConfiguration, loop: EventLoop, logger: Logger) {
    self.loop = loop
    self.configuration = configuration
    self.logger = logger.labelled("postgres")
    pool = ConnectionPool(configuration, loop: loop, logger: self.logger)
  }

  /// Owns the connections until the task is cancelled; then it closes them and returns. To be called once.
  ///
  /// Queries made before wait for it. A lost connection is replaced, with growing pauses while the server
  /// does not answer.
  public func run() async throws { try await pool.run() }

  /// How many connections are open, how many of them lent, and how many tasks wait for one.
  public var statistics: (open: Int, leased: Int, waiting: Int) {
    let counts = pool.counts
    return (counts.up, counts.leased, counts.waiting)
  }

  /// Runs one statement on any connection.
  /// - Throws: `PostgresError`; of kind `.connection` only after `connectTimeout` without any connection, or
  ///   when the connection was lost under the statement. `CancellationError` if the task was cancelled.
  @discardableResult
  public func query(_ query: PostgresQuery) async throws -> PostgresRows {
    try await withConnection { try await $0.query(query) }
  }

  /// Runs statements in one round trip, all or none: the cheapest transaction there is.
  /// - Throws: the error of the first that failed; nothing has happened then.
  @discardableResult
  public func pipeline(_ queries: [PostgresQuery]) async throws -> [PostgresRows] {
    try await withConnection { try await $0.pipeline(queries) }
  }

  /// Lends a connection to `body`. What `body` leaves open (a transaction) is rolled back.
  @discardableResult
  public func withConnection<T: Sendable>(
    _ body: @Sendable (PostgresConnection) async throws -> T
  ) async throws -> T {
    let loan = try await pool.lend()
    do {
      let value = try await body(PostgresConnection(loan.session, loan.lease))
      await pool.takeBack(loan)
      return value
    } catch {
      await pool.takeBack(loan)
      throw error
    }
  }

  /// Runs `body` in a transaction: committed when it returns, rolled back when it throws.
  ///
  /// BEGIN travels with the first statement; where everything goes with the commit, there is none. The commit is not cancellable.
  /// - Throws: what `body` throws, or `PostgresError` of the commit: of kind `.connection` or `.timeout` if its
  ///   outcome is unknown, SQLSTATE 25P02 if `body` had swallowed a statement's error.
  @discardableResult
  public func withTransaction<T: Sendable>(
    _ body: @Sendable (PostgresConnection) async throws -> T
  ) async throws -> T {
    let loan = try await pool.lend()
    do {
      try await loan.session.begin(lease: loan.lease)
      let value = try await body(PostgresConnection(loan.session, loan.lease))
      try await loan.session.commit()
      await pool.takeBack(loan)
      return value
    } catch {
      // Taking back rolls back.
      await pool.takeBack(loan)
      throw error
    }
  }
}
