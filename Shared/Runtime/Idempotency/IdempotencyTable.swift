import Loop
import Observability
import Postgres

extension Idempotency {
  /// The table, in every service that creates by POST: a migration set of its own.
  public static let migrations = [
    PostgresMigration(
      name: "V0001_idempotency_key",
      sql: """
        CREATE TABLE idempotency_key (
          organisation_id uuid NOT NULL,
          key             text NOT NULL,
          request         bytea NOT NULL,
          status          integer NOT NULL,
          headers         jsonb NOT NULL,
          body            bytea NOT NULL,
          created_at      timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (organisation_id, key)
        );
        CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
        COMMENT ON TABLE idempotency_key IS
          'First answers by Idempotency-Key, for 24 h: written in the transaction of what was created.';
        COMMENT ON COLUMN idempotency_key.request IS 'SHA-256 over method, target and the JSON value of the body.';
        """),
    PostgresMigration(
      name: "V0002_idempotency_hold",
      sql: """
        CREATE TABLE idempotency_hold (
          organisation_id uuid NOT NULL,
          key             text NOT NULL,
          holder          uuid NOT NULL,
          held_until      timestamptz NOT NULL,
          PRIMARY KEY (organisation_id, key)
        );
        COMMENT ON TABLE idempotency_hold IS 'Keys of requests that run and are more than one transaction.';
        """),
  ]

  /// Forgets keys that are too old, few at a time.
  /// - Returns: how many.
  func sweep(limit: Int) async throws -> Int {
    try await database.query("DELETE FROM idempotency_hold WHERE held_until < now() - interval '1 h'")
    return try await database.query(
      """
      DELETE FROM idempotency_key WHERE (organisation_id, key) IN (
        SELECT organisation_id, key FROM idempotency_key
        WHERE created_at <= now() - interval '\(unescaped: "\(Self.hours)") h'
        ORDER BY created_at LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED)
      """
    ).affectedRows
  }
}

/// Forgets `Idempotency-Key`s after 24 h; any number of replicas share the work.
public struct IdempotencySweeper: Service {
  private static let batch = 500
  private static let interval: Duration = .seconds(60)

  private let keys: Idempotency
  private let loop: EventLoop
  private let logger: Logger

  public init(_ runtime: ServiceRuntime) {
    keys = Idempotency(database: runtime.database)
    (loop, logger) = (runtime.loop, runtime.logger.labelled("idempotency-sweeper"))
  }

  public func run() async throws {
    while true {
      do {
        while try await keys.sweep(limit: Self.batch) == Self.batch {}
      } catch is CancellationError {
        throw CancellationError()
      } catch { logger.warning("sweeping again later", ["error": "\(error)"]) }
      try await loop.sleep(for: Self.interval)
    }
  }
}
