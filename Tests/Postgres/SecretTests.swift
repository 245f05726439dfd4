import Foundation
import Observability
import TestSupport
import Testing

@testable import Postgres

/// URLs, and that no password gets out.
@Suite struct SecretTests {
  private let secret = "s3cr3t/@:%"
  private let escaped = "s3cr3t%2F%40%3A%25"

  private func configuration(_ url: String) throws -> PostgresConfiguration {
    try PostgresConfiguration(url: url, schema: "s", applicationName: "a")
  }

  @Test func partsOfTheURL() throws {
    let full = try configuration("postgresql://us%20er:\(escaped)@db.example:6543/d%C3%A4?sslmode=require")
    #expect(full.user == "us er" && full.host == "db.example" && full.port == 6543 && full.database == "dä")
    #expect(full.password?.revealed == secret)
    #expect(full.extra.map(\.0) == ["sslmode"])
    let bare = try configuration("postgres://me@/")
    #expect(bare.host == "localhost" && bare.port == 5432 && bare.database == "me" && bare.password == nil)
    #expect(try configuration("postgresql://me@[::1]:1/d").host == "::1")
    #expect(try configuration("postgresql://me@%2Frun%2Fpg/d").host == "/run/pg")
  }

  @Test(arguments: [
    "mysql://u:topsecret@h/d", "postgresql://:topsecret@h/d", "postgresql://u:topsecret@h:x/d",
    "postgresql://u:topsecret@h:99999/d", "postgresql://u:topsecret%zz@h/d",
    "postgresql://u:topsecret%ff@h/d",
    "postgresql://u:topsecret@h/d?host=x", "postgresql://u:topsecret@::1:5/d", "",
  ])
  func aBadURLIsNotRepeated(_ url: String) {
    #expect {
      try configuration(url)
    } throws: { error in
      (error as? PostgresError)?.kind == .configuration
        && !"\(error)\(String(reflecting: error))".contains("topsecret")
    }
  }

  @Test func noDescriptionShowsThePassword() throws {
    let configuration = try configuration("postgresql://u:\(escaped)@h/d")
    let client = PostgresClient(configuration: configuration, loop: .start("postgres-test"), logger: quiet)
    var dumped = ""
    dump(configuration, to: &dumped)
    dump(client, to: &dumped)
    let texts = [
      "\(configuration)", String(reflecting: configuration), "\(Optional(configuration) as Any)", dumped,
    ]
    for text in texts { #expect(!text.contains("s3cr3t"), "\(text)") }
    #expect("\(configuration)" == "postgresql://u@h:5432/d")
  }

  @Test func aRefusedLoginNamesTheUserOnly() async throws {
    let server = try await PostgresServer.shared()
    let log = LogCapture()
    let url = server.url(database: "postgres", password: "wr0ngsecret")
    let configuration = try PostgresConfiguration(
      url: url, schema: nil, applicationName: "t", connectTimeout: .seconds(60))
    let error = await fault { try await Connector.connect(configuration, on: .start("postgres-test")) }
    let client = PostgresClient(
      configuration: configuration, loop: .start("postgres-test"),
      logger: Logger(label: "t", level: .trace, output: log))
    let running = Task { try await client.run() }
    let waiting = Task { try await client.query("SELECT 1") }
    try await eventually("it is logged") { !log.lines.isEmpty }
    waiting.cancel()
    running.cancel()
    try await running.value
    #expect(error?.message.contains("password authentication failed") == true)
    #expect(log.lines.contains { $0.contains("password authentication failed") })
    for text in log.lines + [String(reflecting: error)] { #expect(!text.contains("wr0ngsecret")) }
  }

  @Test func byTheUnixSocket() async throws {
    let server = try await PostgresServer.shared()
    try await withClient(url: server.socketURL(database: "postgres")) { client in
      let address = try await client.one("SELECT inet_client_addr() IS NULL", Bool.self)
      #expect(address == true)
    }
  }
}
