import Observability

/// One step of a schema's history.
public struct PostgresMigration: Sendable {
  /// Its name, such as `V0001_devices`; never to be changed once it was applied anywhere.
  public let name: String
  /// What it does; never to be changed either. Runs in a transaction.
  public let sql: String

  /// A migration.
  public init(name: String, sql: String) {
    self.name = name
    self.sql = sql
  }

  /// A migration from a file that SwiftPM has embedded in the code.
  public init(_ name: String, embedded sql: [UInt8]) {
    self.init(name: name, sql: String(decoding: sql, as: UTF8.self))
  }
}

extension PostgresClient {
  /// Brings the schema up to date, each migration in a transaction of its own, in the order given.
  ///
  /// Several clients may do it at once: one works, the others wait. What is applied is kept in the table
  /// `schema_migration` with the checksum of its text. The schema of the configuration is made if it is not
  /// there. Applied migrations that are not given (of a newer version) are left alone. Does not need `run()`.
  /// - Parameters:
  ///   - migrations: all of the set's, the oldest first.
  ///   - set: whose migrations they are; sets in one schema do not know each other.
  /// - Returns: the names of those applied now.
  /// - Throws: `PostgresError`, of kind `.migration` if the text of an applied one has changed.
  public func migrate(_ migrations: [PostgresMigration], set: String) async throws -> [String] {
    guard Set(migrations.map(\.name)).count == migrations.count else {
      throw PostgresError(.migration, "two migrations of one name in \(set)")
    }
    let session = try await Connector.connect(
      configuration, on: loop, retryingUntil: .now + configuration.connectTimeout)
    let lease = await session.lend()
    let connection = PostgresConnection(session, lease)
    do {
      let key = try await Self.lock(session, connection, schema: configuration.schema ?? "")
      let applied = try await apply(migrations, set, connection)
      await session.unlock(key)
      return applied
    } catch {
      await session.close()  // and with it the transaction and the lock
      throw error
    }
  }

  private static func lock(_ session: Session, _ connection: PostgresConnection, schema: String) async throws
    -> Int64
  {
    let name = "martlet.migrate.\(schema)"
    let rows = try await connection.query("SELECT hashtextextended(\(name), 0)")
    let key = try rows.first?.decode(Int64.self) ?? 0
    while try await !session.tryLock(key) { try await session.loop.sleep(for: .milliseconds(50)) }
    return key
  }

  private func apply(
    _ migrations: [PostgresMigration], _ set: String, _ connection: PostgresConnection
  ) async throws -> [String] {
    try await prepareHistory(connection)
    let texts = migrations.map(\.sql)
    let checksums = try await connection.query(
      "SELECT encode(sha256(convert_to(t.sql, 'UTF8')), 'hex') FROM unnest(\(texts)) WITH ORDINALITY t(sql, n) ORDER BY n"
    ).decode(String.self)
    let history = try await connection.query("SELECT name, checksum FROM schema_migration WHERE set = \(set)")
      .decode((String, String).self)
    let known = Dictionary(history, uniquingKeysWith: { $1 })
    for (migration, checksum) in zip(migrations, checksums) {
      if let applied = known[migration.name], applied != checksum {
        throw PostgresError(
          .migration,
          "\(set): migration \(migration.name) was applied with another text; write a new one instead")
      }
    }
    var applied: [String] = []
    for (migration, checksum) in zip(migrations, checksums) where known[migration.name] == nil {
      // One transaction; the time limit for statements is not meant for building an index.
      try await connection.execute(script: "BEGIN; SET LOCAL statement_timeout = 0;")
      try await connection.execute(script: migration.sql)
      try await connection.pipeline([
        "INSERT INTO schema_migration (set, name, checksum) VALUES (\(set), \(migration.name), \(checksum))",
        "COMMIT",
      ])
      logger.info("migration applied", ["set": set, "migration": migration.name])
      applied.append(migration.name)
    }
    return applied
  }

  /// The schema and the table of what was applied.
  private func prepareHistory(_ connection: PostgresConnection) async throws {
    if let schema = configuration.schema {
      // Looked up first: CREATE … IF NOT EXISTS wants the right to create even if there is nothing to do.
      let there = try await connection.query("SELECT 1 FROM pg_namespace WHERE nspname = \(schema)")
      if there.isEmpty {
        let name = schema.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
        try await connection.query("CREATE SCHEMA \"\(unescaped: name)\"")
      }
    }
    let there = try await connection.query("SELECT to_regclass('schema_migration') IS NOT NULL")
    guard try there.first?.decode(Bool.self) != true else { return }
    try await connection.execute(
      script: """
        CREATE TABLE schema_migration (
          set text NOT NULL,
          name text NOT NULL,
          checksum text NOT NULL,
          applied_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (set, name)
        )
        """)
  }
}
