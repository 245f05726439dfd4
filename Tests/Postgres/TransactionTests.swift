import Foundation
import Testing
import Threads

@testable import Postgres

/// Transactions, scripts, and a connection's loan.
@Suite struct TransactionTests {
  private struct Oops: Error {}

  private func count(_ client: PostgresClient) async throws -> Int? {
    try await client.one("SELECT count(*) FROM t", Int.self)
  }

  @Test func commitsAndRollsBack() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int)")
      let number = try await client.withTransaction { connection in
        try await connection.query("INSERT INTO t VALUES (1)")
        try await connection.pipeline(["INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)"])
        return 7
      }
      #expect(number == 7)
      #expect(try await count(client) == 3)
      await #expect(throws: Oops.self) {
        try await client.withTransaction { connection in
          try await connection.query("INSERT INTO t VALUES (4)")
          throw Oops()
        }
      }
      #expect(try await count(client) == 3)
      try await client.withTransaction { _ in }
      await #expect(throws: Oops.self) { try await client.withTransaction { _ in throw Oops() } }
      try await client.withTransaction { try await $0.execute(script: "INSERT INTO t VALUES (5); SELECT 1") }
      #expect(try await count(client) == 4)
    }
  }

  @Test func whatIsEnqueuedGoesWithTheNextRoundTripOrTheCommit() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int UNIQUE)")
      try await client.withTransaction { connection in
        try await connection.enqueue(["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"])
        let seen = try await connection.pipeline(["SELECT count(*) FROM t", "SELECT 7::bigint"])
        #expect(
          try seen.map { try $0.first?.decode(Int.self) } == [2, 7], "the answers are those of the query")
        try await connection.enqueue(["INSERT INTO t VALUES (3)"])
      }
      try await client.withTransaction { try await $0.enqueue(["INSERT INTO t VALUES (4)"]) }
      try await client.withTransaction { connection in
        try await connection.enqueue(["INSERT INTO t VALUES (5)"])
        try await connection.execute(script: "INSERT INTO t SELECT max(n) + 1 FROM t")
      }
      #expect(
        try await client.one("SELECT array_agg(n ORDER BY n) FROM t", [Int32].self) == [1, 2, 3, 4, 5, 6])
    }
  }

  @Test func whatIsEnqueuedForIsAnsweredAndTheCommitIsTold() async throws {
    try await withClient(maximumConnections: 1) { client in
      let heard = Locked<[String]>([])
      @Sendable func note(_ what: String) -> @Sendable () -> Void { { heard.withLock { $0.append(what) } } }
      try await client.query("CREATE TABLE t (n int UNIQUE)")
      try await client.withTransaction { connection in
        try await connection.afterCommit(note("committed"))
        try await connection.enqueue("INSERT INTO t VALUES (1) RETURNING n") { rows in
          heard.withLock { $0.append("\(rows.count) row") }
        }
        #expect(try await connection.one("SELECT count(*) FROM t", Int.self) == 1)
        try await connection.enqueue("SELECT 1 FROM generate_series(1, 2)") { rows in
          heard.withLock { $0.append("\(rows.count) rows") }
        }
        #expect(heard.withLock { $0 } == ["1 row"])
      }
      #expect(heard.withLock { $0 } == ["1 row", "2 rows", "committed"])
      await #expect(throws: Oops.self, "rolled back by the body") {
        try await client.withTransaction { connection in
          try await connection.afterCommit(note("never"))
          throw Oops()
        }
      }
      await #expect(throws: PostgresError.self, "rolled back by the server") {
        try await client.withTransaction { connection in
          try await connection.afterCommit(note("never"))
          try await connection.enqueue("INSERT INTO t VALUES (1)") { _ in note("never")() }
        }
      }
      try await client.withTransaction { try await $0.query("SELECT 1") }
      #expect(heard.withLock(\.count) == 3, "what was rolled back is not told by the next")
      await #expect(throws: PostgresError.self, "outside of a transaction") {
        try await client.withConnection { try await $0.afterCommit {} }
      }
    }
  }

  /// A statement that a changed table made stale is sent once more, with all of its transaction.
  @Test func aTransactionOfOneRoundTripOutlivesAChangedTable() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int)")
      @Sendable func move() async throws -> [Int] {
        let seen = Locked<[Int]>([])
        try await client.withTransaction { connection in
          try await connection.enqueue(["INSERT INTO t (n) VALUES (1)"])
          try await connection.enqueue("SELECT * FROM t") { rows in seen.withLock { $0.append(rows.count) } }
        }
        return seen.withLock { $0 }
      }
      #expect(try await move() == [1])
      try await client.query("ALTER TABLE t ADD m int")
      #expect(try await move() == [2], "inserted once")
    }
  }

  @Test func anErrorOfWhatIsEnqueuedRollsAllBack() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int UNIQUE)")
      await #expect(throws: PostgresError.self, "with the commit") {
        try await client.withTransaction { connection in
          try await connection.query("INSERT INTO t VALUES (1)")
          try await connection.enqueue(["INSERT INTO t VALUES (1)"])
        }
      }
      await #expect(throws: PostgresError.self, "with the next query") {
        try await client.withTransaction { connection in
          try await connection.query("INSERT INTO t VALUES (1)")
          try await connection.enqueue(["INSERT INTO t VALUES (1)"])
          try await connection.query("INSERT INTO t VALUES (2)")
        }
      }
      await #expect(throws: PostgresError.self, "all of it goes with the commit") {
        try await client.withTransaction { connection in
          try await connection.afterCommit { Issue.record("nothing was committed") }
          try await connection.enqueue(["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"])
          try await connection.enqueue(["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (3)"])
        }
      }
      await #expect(throws: Oops.self, "never run") {
        try await client.withTransaction { connection in
          try await connection.enqueue(["INSERT INTO t VALUES (9)"])
          throw Oops()
        }
      }
      try await client.withTransaction { try await $0.query("SELECT 1") }
      #expect(try await count(client) == 0)
      await #expect(throws: PostgresError.self, "outside of a transaction") {
        try await client.withConnection { try await $0.enqueue(["SELECT 1"]) }
      }
    }
  }

  @Test func theWholeBodyIsOneTransaction() async throws {
    try await withClient(maximumConnections: 2) { client in
      try await client.query("CREATE TABLE t (n int)")
      try await client.withTransaction { connection in
        try await connection.query("INSERT INTO t VALUES (1)")
        #expect(try await client.one("SELECT count(*) FROM t", Int.self) == 0)
        let first = try await connection.one("SELECT pg_current_xact_id()::text", String.self)
        let second = try await connection.one("SELECT pg_current_xact_id()::text", String.self)
        #expect(first == second)
      }
      #expect(try await count(client) == 1)
    }
  }

  @Test func aSwallowedErrorDoesNotCommit() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int)")
      let error = await fault {
        try await client.withTransaction { connection in
          try await connection.query("INSERT INTO t VALUES (1)")
          _ = try? await connection.query("SELECT 1 / 0")
        }
      }
      #expect(error?.code == "25P02")
      #expect(try await count(client) == 0)
    }
  }

  @Test func anOpenTransactionIsNotPassedOn() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int)")
      try await client.withConnection { connection in
        try await connection.query("BEGIN")
        try await connection.query("INSERT INTO t VALUES (1)")
      }
      #expect(try await count(client) == 0)
    }
  }

  @Test func aDeferredConstraintFailsTheCommit() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int CONSTRAINT once UNIQUE DEFERRABLE INITIALLY DEFERRED)")
      let error = await fault {
        try await client.withTransaction { try await $0.query("INSERT INTO t VALUES (1), (1)") }
      }
      #expect(error?.constraint == "once")
      #expect(try await count(client) == 0)
    }
  }

  /// The server tells it in answer to the sync, behind the last statement.
  @Test func aDeferredConstraintFailsATransactionOfOneRoundTrip() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.query("CREATE TABLE t (n int CONSTRAINT once UNIQUE DEFERRABLE INITIALLY DEFERRED)")
      for _ in 0..<2 {
        let error = await fault {
          try await client.withTransaction { connection in
            try await connection.afterCommit { Issue.record("nothing was committed") }
            try await connection.enqueue(["INSERT INTO t VALUES (1), (1)", "SELECT 1"])
          }
        }
        #expect(error?.constraint == "once")
        #expect(try await count(client) == 0)
      }
      try await client.withTransaction { try await $0.enqueue(["INSERT INTO t VALUES (1)"]) }
      #expect(try await count(client) == 1)
    }
  }

  @Test func aConnectionKeptAfterItsLoanRefuses() async throws {
    try await withClient(maximumConnections: 1) { client in
      let kept = try await client.withConnection { $0 }
      let fault1 = await fault { try await kept.query("SELECT 1") }
      #expect(fault1?.kind == .usage)
      #expect(try await client.query("SELECT 1").count == 1)
    }
  }

  @Test func concurrentStatementsOfOneConnectionTakeTurns() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.withTransaction { connection in
        try await withThrowingTaskGroup(of: Int.self) { group in
          for number in 0..<100 {
            group.addTask { try await connection.one("SELECT \(number)", Int.self) ?? -1 }
          }
          var sum = 0
          for try await number in group { sum += number }
          #expect(sum == 4950)
        }
      }
    }
  }

  @Test func aScriptStopsAtItsFirstErrorAsAWhole() async throws {
    try await withClient(maximumConnections: 1) { client in
      let error = await fault {
        try await client.withConnection {
          try await $0.execute(script: "CREATE TABLE t (n int); SELECT 1/0; CREATE TABLE u (n int);")
        }
      }
      #expect(error?.code == "22012")
      let isGone = try await client.one("SELECT to_regclass('t') IS NULL", Bool.self)
      #expect(isGone == true)
    }
  }
}
