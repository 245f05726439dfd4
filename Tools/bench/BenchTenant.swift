import AsyncHTTPClient
import FoundationEssentials
import HTTP
import Loop
import Observability
import Postgres
import Runtime
import Wire

/// Where the stack is that is measured: what every measurement of many objects asks for.
struct StackSettings: Sendable {
  let url: String
  let rootKey: String
  let databaseURL: String
  let runFolder: String

  init(_ settings: inout SettingsReader) {
    url = settings.string("url", help: "The edge's address.")
    rootKey = settings.secret("root-key", help: "The root key.")
    databaseURL = settings.secret("database-url", help: "PostgreSQL, which is filled.")
    runFolder = settings.string("run", default: ".run", help: "Where the pid files are.")
  }

  /// A few connections as the owner, with no bound on what a statement may take.
  func database(_ schema: String, on loop: EventLoop, _ logger: Logger) throws -> PostgresClient {
    PostgresClient(
      configuration: try PostgresConfiguration(
        url: databaseURL, schema: schema, applicationName: "martlet-bench", maximumConnections: 2,
        statementTimeout: nil), loop: loop, logger: logger)
  }
}

/// An organisation of one measurement with a key and a board, whose other objects are written straight into the tables. They are
/// deleted with `make clean`.
struct BenchTenant: Sendable {
  /// Tells this run's devices from others: 24 bits.
  let run: String
  let organisation: UUID
  let board: UUID
  let soc: String
  let caller: Caller

  static func make(
    _ stack: StackSettings, _ client: HTTPClient, metadataFields: JSON = []
  ) async throws -> BenchTenant {
    let run = String(Identifier.randomDeviceId().prefix(6))
    let root = Caller(client: client, url: stack.url, key: stack.rootKey)
    let organisation = try await root.post("/organisation", ["name": .string("Bench \(run)")])["id"] ?? .null
    let key = try await root.post(
      "/apiKey", ["organisationId": organisation, "name": "bench", "role": "admin"])
    let caller = Caller(client: client, url: stack.url, key: key["key"]?.string ?? "")
    let soc = "bench-\(run)"
    let board = try await caller.post(
      "/board",
      [
        "name": "Bench board", "soc": .string(soc), "organisationId": organisation,
        "metadataFields": metadataFields,
      ])
    guard let organisation = organisation.string.flatMap({ UUID(text: $0) }),
      let board = board["id"]?.string.flatMap({ UUID(text: $0) })
    else { throw Refused(path: "/board", status: 201, body: "without ids") }
    return BenchTenant(run: run, organisation: organisation, board: board, soc: soc, caller: caller)
  }
}
