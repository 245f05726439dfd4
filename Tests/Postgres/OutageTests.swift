import Foundation
import TestSupport
import Testing
import Threads

@testable import Postgres

/// What was inserted and what failed.
private final class Tally: Sendable {
  private struct State {
    var acknowledged: Set<Int> = []
    var failures: [PostgresError] = []
    var isOver = false
  }
  private let state = Locked(State())
  var acknowledged: Set<Int> { state.withLock { $0.acknowledged } }
  var failures: [PostgresError] { state.withLock { $0.failures } }
  func stop() { state.withLock { $0.isOver = true } }

  /// Inserts `first`, `first + step`, … until stopped.
  func insert(_ client: PostgresClient, _ first: Int, step: Int) async throws {
    for number in stride(from: first, to: .max, by: step) {
      if state.withLock({ $0.isOver }) { return }
      do {
        try await client.withTransaction { try await $0.query("INSERT INTO t VALUES (\(number))") }
        state.withLock { _ = $0.acknowledged.insert(number) }
      } catch let error as PostgresError {
        state.withLock { $0.failures.append(error) }
      }
    }
  }
}

/// Servers that crash, hang, or are not there.
@Suite struct OutageTests {
  @Test func everyAcknowledgedInsertSurvivesACrashUnderLoad() async throws {
    let server = try await PostgresServer()
    try await withClient(maximumConnections: 4, connectTimeout: .seconds(30), url: server.url) { client in
      try await client.query("CREATE TABLE t (n int PRIMARY KEY)")
      let tally = Tally()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for worker in 0..<16 { group.addTask { try await tally.insert(client, worker, step: 16) } }
        func goOn() async throws {
          let before = tally.acknowledged.count
          try await eventually("inserts go on") { tally.acknowledged.count > before + 200 }
        }
        for _ in 0..<2 {
          try await goOn()
          server.kill()
          try await Task.sleep(for: .milliseconds(300))
          try await server.start()
        }
        try await goOn()
        tally.stop()
        try await group.waitForAll()
      }
      let lost = tally.acknowledged.subtracting(try await client.all("SELECT n FROM t", Int.self))
      #expect(lost.isEmpty, "\(lost.count) lost")
      // Whatever failed was told as what it was, and no more than what was under way at a crash.
      let errors = tally.failures
      #expect(errors.allSatisfy { $0.kind == .connection && $0.isRetryable }, "\(errors)")
      #expect(errors.count <= 3 * 16, "\(errors.count)")
    }
  }

  @Test func aQueryWaitsForAServerThatComesBack() async throws {
    let server = try await PostgresServer()
    try await withClient(connectTimeout: .seconds(60), url: server.url) { client in
      try await client.query("SELECT 1")
      server.kill()
      try await eventually("the loss is noticed") { client.statistics.open == 0 }
      let waiting = Task { try await client.one("SELECT 2", Int.self) }
      try await eventually("it waits") { client.statistics.waiting == 1 }
      try await server.start()
      #expect(try await waiting.value == 2)
    }
  }

  @Test func whoWaitsForADeadServerIsToldInTheEnd() async throws {
    let port = try freePort()
    let url = "postgresql://u:verysecret@127.0.0.1:\(port)/d"
    try await withClient(connectTimeout: .milliseconds(700), url: url) { client in
      let begin = ContinuousClock.now
      let error = await fault { try await client.query("SELECT 1") }
      #expect(error?.kind == .connection)
      #expect(error?.description.contains("verysecret") == false)
      #expect(.now - begin >= .milliseconds(700))
      let migration = await fault { try await client.migrate([], set: "x") }
      #expect(migration?.kind == .connection)
    }
  }

  @Test func aServerThatDoesNotAnswerTheConnect() async throws {
    let deaf = try DeafListener()
    let url = "postgresql://u:p@localhost:\(deaf.port)/d"
    let configuration = try PostgresConfiguration(
      url: url, schema: nil, applicationName: "t", connectTimeout: .milliseconds(300))
    let error = await fault { try await Connector.connect(configuration, on: .start("postgres-test")) }
    #expect(error?.kind == .connection)
    let unknown = try PostgresConfiguration(
      url: "postgresql://u:p@no-such-host.invalid/d", schema: nil, applicationName: "t",
      connectTimeout: .seconds(20))
    let nowhere = await fault { try await Connector.connect(unknown, on: .start("postgres-test")) }
    #expect(nowhere?.kind == .connection)
  }

  @Test func aStoppedServerTimesOutAndIsUsableAgain() async throws {
    let server = try await PostgresServer()
    try await withClient(
      maximumConnections: 2, statementTimeout: .seconds(2), url: server.url
    ) { client in
      try await client.query("CREATE TABLE t (n int)")
      server.pause()
      let error = await fault { try await client.query("SELECT 1") }
      #expect(error?.kind == .timeout)
      #expect(error?.isRetryable == true)
      // A cancel of a server that hangs is bounded too.
      server.resume()
      try await eventually("it is back") { (try? await client.query("SELECT 1")) != nil }
      let sleeping = Task { try await client.query("SELECT pg_sleep(600)") }
      try await eventually("it sleeps") { client.statistics.leased == 1 }
      server.pause()
      sleeping.cancel()
      let result = await sleeping.result
      #expect(throws: (any Error).self) { try result.get() }
      server.resume()
      try await eventually("it is back") { (try? await client.query("SELECT 1")) != nil }
    }
  }

  @Test func theServersOwnTimeLimit() async throws {
    try await withClient(maximumConnections: 1, statementTimeout: .seconds(1)) { client in
      let error = await fault { try await client.query("SELECT pg_sleep(600)") }
      #expect(error?.kind == .timeout)
      #expect(error?.code == "57014")
      let script = await fault {
        try await client.withConnection { try await $0.execute(script: "SELECT pg_sleep(600)") }
      }
      #expect(script?.kind == .timeout)
      let one = try await client.one("SELECT 1", Int.self)
      #expect(one == 1)
    }
  }

  @Test func aSessionEndedByTheServer() async throws {
    try await withClient(maximumConnections: 1) { client in
      let server = try await PostgresServer.shared()
      let pid = try await client.one("SELECT pg_backend_pid()", Int.self)
      let end = "SELECT pg_terminate_backend(\(pid ?? 0))"
      // While idle: the next query does not notice.
      try await server.psql(end)
      try await eventually("it is gone, and that is heard") { client.statistics.open == 0 }
      #expect(try await client.one("SELECT 1", Int.self) == 1)
      // In the middle: it is told as a lost connection.
      let task = Task { try await client.query("SELECT pg_sleep(600)") }
      try await eventually("it sleeps") { client.statistics.leased == 1 }
      try await server.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND datname = '\(client.configuration.database)'"
      )
      let error = await fault { try await task.value }
      #expect(error?.kind == .connection)
      #expect(try await client.one("SELECT 1", Int.self) == 1)
    }
  }

  @Test func moreTasksThanConnections() async throws {
    try await withClient(maximumConnections: 4) { client in
      try await client.query("CREATE TABLE t (n int)")
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<200 {
          group.addTask {
            try await client.withTransaction { connection in
              try await connection.query("INSERT INTO t VALUES (\(number))")
              try await connection.query("SELECT pg_sleep(0.001)")
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await client.one("SELECT sum(n)::int8 FROM t", Int.self) == 19900)
      #expect(client.statistics.open <= 4)
    }
  }
}
