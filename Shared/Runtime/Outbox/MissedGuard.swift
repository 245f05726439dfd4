import Postgres

extension PostgresError {
  /// What `expect_count` says: something was not as it was thought to be, and nothing was done.
  public var isMissedGuard: Bool { code == "MG001" }
}
