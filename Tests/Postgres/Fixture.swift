import Observability
import TestSupport

@testable import Postgres

/// A client that runs, on a new database of the shared server.
func withClient<T>(
  maximumConnections: Int = 4, schema: String? = nil, connectTimeout: Duration = .seconds(60),
  statementTimeout: Duration? = .seconds(30), url: String? = nil,
  _ body: (PostgresClient) async throws -> T
) async throws -> T {
  let address: String
  if let url { address = url } else { address = try await PostgresServer.shared().createDatabase() }
  let configuration = try PostgresConfiguration(
    url: address, schema: schema, applicationName: "tests", maximumConnections: maximumConnections,
    connectTimeout: connectTimeout, statementTimeout: statementTimeout)
  let client = PostgresClient(configuration: configuration, loop: .start("postgres-test"), logger: quiet)
  let running = Task { try await client.run() }
  do {
    let value = try await body(client)
    running.cancel()
    try await running.value
    return value
  } catch {
    running.cancel()
    throw error
  }
}

/// A logger whose lines nobody reads.
let quiet = Logger(label: "test", level: .critical)

/// The `PostgresError` that `body` throws; nil if it throws none.
func fault<T>(_ body: () async throws -> T) async -> PostgresError? {
  do {
    _ = try await body()
    return nil
  } catch {
    return error as? PostgresError
  }
}

extension PostgresClient {
  /// The one cell of the first row.
  func one<T: PostgresDecodable>(_ query: PostgresQuery, _ type: T.Type) async throws -> T? {
    try await self.query(query).decode(type).first
  }

  /// The one column of all rows.
  func all<T: PostgresDecodable>(_ query: PostgresQuery, _ type: T.Type) async throws -> [T] {
    try await self.query(query).decode(type)
  }
}

extension PostgresConnection {
  /// The one cell of the first row.
  func one<T: PostgresDecodable>(_ query: PostgresQuery, _ type: T.Type) async throws -> T? {
    try await self.query(query).decode(type).first
  }
}
