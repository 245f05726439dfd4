import Foundation
import Testing

@testable import Postgres

/// Statements, their errors, and what they leave behind.
@Suite struct QueryTests {
  @Test func anEmptyResultHasColumnsAndNoRows() async throws {
    try await withClient { client in
      let rows = try await client.query("SELECT 1 AS one WHERE false")
      #expect(rows.isEmpty)
      #expect(rows.affectedRows == 0)
      try await client.query("CREATE TABLE t (n int)")
      #expect(try await client.query("INSERT INTO t SELECT generate_series(1, 3)").affectedRows == 3)
      #expect(try await client.query("UPDATE t SET n = n + 1 WHERE n > 1").affectedRows == 2)
      #expect(try await client.query("").isEmpty)
    }
  }

  @Test func columnsByNameKeepTheirCase() async throws {
    try await withClient { client in
      let row = try #require(
        try await client.query(#"SELECT 1 AS a, 'x' AS "deviceId", null::int AS n"#).first)
      #expect(try row["a"].decode(Int.self) == 1)
      #expect(try row["deviceId"].decode(String.self) == "x")
      #expect(row["n"].isNull)
      #expect(try row["n"].decode(Int?.self) == nil)
      for name in ["n", "deviceId", "a", "a", "deviceId", "n"] {
        #expect(row[name].isNull == (name == "n"), "in any order")
      }
      #expect(throws: PostgresError.self) { try row["deviceid"].decode(String.self) }
      #expect(throws: PostgresError.self) { try row["n"].decode(Int.self) }
      #expect(throws: PostgresError.self) { try row["deviceId"].decode(Int.self) }
      #expect(throws: PostgresError.self) { try row.decode((Int, String).self) }
    }
  }

  @Test func errorsCarryTheirCodeAndConstraintAndNoValues() async throws {
    try await withClient { client in
      try await client.query("CREATE TABLE t (id int CONSTRAINT t_key PRIMARY KEY, n text NOT NULL)")
      try await client.query("INSERT INTO t VALUES (\(4711), \("geheim"))")
      let again = await fault { try await client.query("INSERT INTO t VALUES (\(4711), \("geheim"))") }
      #expect(again?.kind == .server(sqlState: "23505"))
      #expect(again?.constraint == "t_key")
      #expect(again?.table == "t")
      let null = await fault { try await client.query("INSERT INTO t VALUES (1, null)") }
      #expect(null?.code == "23502")
      #expect(null?.column == "n")
      let cast = await fault { try await client.query("SELECT \("geheim")::text::int4") }
      #expect(cast?.code == "22P02")
      #expect(cast?.message == "invalid_text_representation")
      let syntax = await fault { try await client.query("SELEKT 1") }
      #expect(syntax?.code == "42601")
      let raised = await fault {
        try await client.withConnection { try await $0.execute(script: "DO $$ BEGIN RAISE 'geheim'; END $$") }
      }
      #expect(raised?.code == "P0001")
      for error in [again, null, cast, syntax, raised] {
        let text = try "\(#require(error)) \(String(reflecting: error))"
        #expect(!text.contains("geheim") && !text.contains("4711"))
      }
      #expect(try await client.query("SELECT 1").count == 1)
    }
  }

  @Test func statementsStayPreparedUpToTheLimit() async throws {
    try await withClient { client in
      try await client.withConnection { connection in
        for number in 0..<10 { try await connection.query("SELECT \(number)") }
        // The text above, and this one.
        #expect(try await preparedAtServer(connection) == 2)
        for number in 0..<400 {
          let query: PostgresQuery = "SELECT \(number) AS \(unescaped: "c\(number)")"
          #expect(try await connection.one(query, Int.self) == number)
        }
        // One that is evicted now is given back with the next exchange, which is the one that looks.
        #expect(try await preparedAtServer(connection) <= 257)
        #expect(try await preparedAtServer(connection) >= 250)
        #expect(try await connection.one("SELECT \(7)", Int.self) == 7)
      }
    }
  }

  @Test func oneTextWithOtherTypesIsAnotherStatement() async throws {
    try await withClient { client in
      try await client.withConnection { connection in
        let number = try await connection.one("SELECT \(1)", Int.self)
        #expect(number == 1)
        #expect(try await connection.one("SELECT \("a")", String.self) == "a")
      }
    }
  }

  @Test func aChangedTableDoesNotBreakItsPreparedStatements() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int)")
      try await client.query("INSERT INTO t VALUES (1)")
      #expect(try await client.query("SELECT * FROM t").first?.columns == ["n"])
      try await client.query("ALTER TABLE t ADD m int")
      #expect(try await client.query("SELECT * FROM t").first?.columns == ["n", "m"])
      try await client.query("DEALLOCATE ALL")
      #expect(try await client.query("SELECT * FROM t").first?.columns == ["n", "m"])
    }
  }

  @Test func anErrorInTheMiddleOfAPipelineUndoesAllOfIt() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int PRIMARY KEY)")
      let error = await fault {
        try await client.pipeline([
          "INSERT INTO t VALUES (\(1))", "INSERT INTO t VALUES (\(2)) RETURNING n",
          "INSERT INTO t VALUES (\(1))",
          "SELECT never_prepared FROM nowhere", "INSERT INTO t VALUES (\(3))",
        ])
      }
      #expect(error?.code == "23505")
      #expect(try await client.one("SELECT count(*) FROM t", Int.self) == 0)
      // What was new in the aborted part is prepared again.
      let good = try await client.pipeline([
        "INSERT INTO t VALUES (\(1))", "INSERT INTO t VALUES (\(2)) RETURNING n",
        "INSERT INTO t VALUES (\(3))",
        "SELECT n FROM t ORDER BY n",
      ])
      #expect(good.map(\.affectedRows) == [1, 1, 1, 3])
      #expect(try good[3].decode(Int.self) == [1, 2, 3])
    }
  }

  @Test func aPipelineOfMoreStatementsThanAreKept() async throws {
    try await withClient(maximumConnections: 1) { client in
      let queries = (0..<600).map { number -> PostgresQuery in
        "SELECT \(number) AS \(unescaped: "c\(number % 300)")"
      }
      for _ in 0..<3 {
        let answers = try await client.pipeline(queries)
        #expect(try answers.map { try $0[0].decode(Int.self) } == Array(0..<600))
      }
    }
  }

  @Test func muchGoesBothWaysAtOnce() async throws {
    try await withClient { client in
      let text = String(repeating: "ä", count: 3_000_000)
      let answers = try await client.pipeline(Array(repeating: "SELECT \(text)", count: 5))
      for answer in answers { #expect(try answer[0].decode(String.self) == text) }
    }
  }

  @Test func settingsOfTheConnection() async throws {
    try await withClient(schema: "odd \"name\\") { client in
      try await client.query("SELECT 1")
      func setting(_ name: String) async throws -> String? {
        try await client.one("SELECT current_setting(\(name))", String.self)
      }
      #expect(try await setting("search_path") == #""odd ""name\""#)
      #expect(try await setting("statement_timeout") == "30s")
      #expect(try await setting("idle_in_transaction_session_timeout") == "10s")
      #expect(try await setting("jit") == "off")
      #expect(try await setting("TimeZone") == "UTC")
      #expect(try await setting("application_name") == "tests")
      #expect(try await setting("client_encoding") == "UTF8")
    }
  }

  @Test func copyIsRefusedAndTheClientGoesOn() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int)")
      let error = await fault {
        try await client.withConnection { try await $0.execute(script: "COPY t FROM STDIN") }
      }
      #expect(error?.kind == .usage)
      let fault1 = await fault { try await client.query("COPY t TO STDOUT") }
      #expect(fault1 != nil)
      #expect(try await client.query("SELECT 1").count == 1)
    }
  }

  private func preparedAtServer(_ connection: PostgresConnection) async throws -> Int {
    try await connection.one("SELECT count(*) FROM pg_prepared_statements", Int.self) ?? -1
  }
}
