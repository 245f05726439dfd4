import Foundation
import Postgres
import TestSupport
import Testing

/// The schema's history.
@Suite struct MigrationTests {
  private let first = PostgresMigration(
    name: "V0001_a", sql: "CREATE TABLE a (n int); INSERT INTO a VALUES (1);")
  private let second = PostgresMigration(name: "V0002_b", sql: "CREATE TABLE b (n int)")

  private func client(_ url: String, _ schema: String? = "house") throws -> PostgresClient {
    PostgresClient(
      configuration: try PostgresConfiguration(
        url: url, schema: schema, applicationName: "migration", connectTimeout: .seconds(60)),
      loop: .start("postgres-test"), logger: quiet)
  }

  @Test func eachIsAppliedOnce() async throws {
    let url = try await PostgresServer.shared().createDatabase()
    #expect(try await client(url).migrate([first], set: "one") == ["V0001_a"])
    #expect(try await client(url).migrate([first, second], set: "one") == ["V0002_b"])
    #expect(try await client(url).migrate([first, second], set: "one") == [])
    // A newer version's are left alone.
    #expect(try await client(url).migrate([first], set: "one") == [])
    let other = PostgresMigration(name: "V0001_a", sql: "CREATE TABLE c (n int)")
    #expect(try await client(url).migrate([other], set: "other") == ["V0001_a"])
    try await withClient(schema: "house", url: url) { client in
      let numbers = try await client.all("SELECT n FROM a", Int.self)
      #expect(numbers == [1])
      #expect(try await client.one("SELECT count(*) FROM schema_migration", Int.self) == 3)
    }
  }

  @Test func severalClientsAtOnceApplyItOnce() async throws {
    let url = try await PostgresServer.shared().createDatabase()
    let applied = try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<4 {
        let client = try client(url)
        group.addTask { try await client.migrate([first, second], set: "one") }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(applied.sorted() == ["V0001_a", "V0002_b"])
  }

  @Test func aChangedTextIsRefused() async throws {
    let url = try await PostgresServer.shared().createDatabase()
    _ = try await client(url).migrate([first], set: "one")
    let changed = PostgresMigration(name: "V0001_a", sql: "CREATE TABLE a (n bigint)")
    let error = await fault { try await client(url).migrate([changed, second], set: "one") }
    #expect(error?.kind == .migration)
    #expect(error?.message.contains("V0001_a") == true)
    #expect(try await client(url).migrate([first, second], set: "one") == ["V0002_b"])
  }

  @Test func aFailedOneLeavesNothingAndIsTriedAgain() async throws {
    let url = try await PostgresServer.shared().createDatabase()
    let broken = PostgresMigration(name: "V0002_b", sql: "CREATE TABLE b (n int); SELECT 1/0;")
    let fault1 = await fault { try await client(url).migrate([first, broken], set: "one") }
    #expect(fault1?.code == "22012")
    #expect(try await client(url).migrate([first, second], set: "one") == ["V0002_b"])
  }

  @Test func withoutTheRightToCreateASchemaAnExistingOneWillDo() async throws {
    let server = try await PostgresServer.shared()
    let url = try await server.createDatabase()
    let database = String(url.split(separator: "/").last ?? "")
    let role = "r_\(UUID().uuidString.prefix(8).lowercased())"
    try await server.psql("CREATE ROLE \(role) LOGIN PASSWORD 'x'", database: database)
    try await server.psql("CREATE SCHEMA house AUTHORIZATION \(role)", database: database)
    let own = "postgresql://\(role):x@127.0.0.1:\(server.port)/\(database)"
    #expect(try await client(own).migrate([first], set: "one") == ["V0001_a"])
    let fault2 = await fault { try await client(own, "barn").migrate([first], set: "one") }
    #expect(fault2?.code == "42501")
  }
}
