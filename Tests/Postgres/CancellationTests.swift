import Foundation
import TestSupport
import Testing

@testable import Postgres

/// A cancel at each place where a task may wait, and what is left afterwards.
@Suite struct CancellationTests {
  /// Ends `task` and expects it to say so.
  private func cancel<T: Sendable>(_ task: Task<T, any Error>) async {
    task.cancel()
    await #expect(throws: CancellationError.self) { _ = try await task.value }
  }

  private func expectUsable(_ client: PostgresClient, _ connections: Int) async throws {
    try await withThrowingTaskGroup(of: Int?.self) { group in
      for number in 0..<(connections * 4) {
        group.addTask { try await client.one("SELECT \(number) FROM pg_sleep(0.01)", Int.self) }
      }
      var numbers: [Int?] = []
      for try await number in group { numbers.append(number) }
      #expect(numbers.count == connections * 4)
    }
    try await eventually("all connections are back") { client.statistics.leased == 0 }
  }

  @Test func whileWaitingForAConnection() async throws {
    try await withClient(maximumConnections: 1) { client in
      let holder = Task { try await client.query("SELECT pg_sleep(1)") }
      try await eventually("it is lent") { client.statistics.leased == 1 }
      let waiter = Task { try await client.query("SELECT 1") }
      try await eventually("one waits") { client.statistics.waiting == 1 }
      await cancel(waiter)
      #expect(client.statistics.waiting == 0)
      _ = try await holder.value
      try await expectUsable(client, 1)
    }
  }

  @Test func beforeRun() async throws {
    let url = try await PostgresServer.shared().url
    let client = PostgresClient(
      configuration: try PostgresConfiguration(
        url: url, schema: nil, applicationName: "t", connectTimeout: .seconds(60)),
      loop: .start("postgres-test"), logger: quiet)
    let waiter = Task { try await client.query("SELECT 1") }
    try await eventually("it waits") { client.statistics.waiting == 1 }
    await cancel(waiter)
    // And one that waits gets its answer when it runs.
    let patient = Task { try await client.one("SELECT 5", Int.self) }
    try await eventually("it waits") { client.statistics.waiting == 1 }
    let running = Task { try await client.run() }
    #expect(try await patient.value == 5)
    running.cancel()
    try await running.value
    let late = await fault { try await client.query("SELECT 1") }
    #expect(late?.kind == .connection)
  }

  @Test func whileConnecting() async throws {
    let deaf = try DeafListener()
    let configuration = try PostgresConfiguration(
      url: "postgresql://u:p@127.0.0.1:\(deaf.port)/d", schema: nil, applicationName: "t",
      connectTimeout: .seconds(60))
    let task = Task { try await Connector.connect(configuration, on: .start("postgres-test")).isUsable }
    try await Task.sleep(for: .milliseconds(100))
    await cancel(task)
    let cancelledBefore = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await Connector.connect(configuration, on: .start("postgres-test")).isUsable
    }
    await #expect(throws: CancellationError.self) { _ = try await cancelledBefore.value }
    let listening = Task {
      let client = PostgresClient(configuration: configuration, loop: .start("postgres-test"), logger: quiet)
      try await client.listen("c") { _ in }
    }
    try await Task.sleep(for: .milliseconds(50))
    await cancel(listening)
  }

  @Test func inTheMiddleOfAStatement() async throws {
    let url = try await PostgresServer.shared().createDatabase()
    try await withClient(maximumConnections: 2, url: url) { client in
      try await client.query("SELECT 1")
      let task = Task { try await client.query("SELECT pg_sleep(600)") }
      try await eventually("it sleeps") { try await sleepers(client) == 1 }
      let backend = try await client.one(
        """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()
        """, Int.self)
      await cancel(task)
      // Stopped at the server, and its connection was kept.
      #expect(try await sleepers(client) == 0)
      let pids = try await client.all(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()", Int.self)
      #expect(pids.contains(try #require(backend)))
      try await expectUsable(client, 2)
    }
  }

  private func sleepers(_ client: PostgresClient) async throws -> Int? {
    try await client.one(
      """
      SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
      AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()
      """, Int.self)
  }

  @Test func inATransaction() async throws {
    try await withClient(maximumConnections: 2) { client in
      try await client.query("CREATE TABLE t (n int)")
      let task = Task {
        try await client.withTransaction { connection in
          try await connection.query("INSERT INTO t VALUES (1)")
          try await connection.query("SELECT pg_sleep(600)")
        }
      }
      try await eventually("it sleeps") { try await sleepers(client) == 1 }
      await cancel(task)
      let resting = Task {
        try await client.withTransaction { connection in
          try await connection.query("INSERT INTO t VALUES (2)")
          try await Task.sleep(for: .seconds(600))
        }
      }
      try await eventually("it rests") { client.statistics.leased == 1 }
      await cancel(resting)
      try await eventually("both are rolled back") {
        try await client.one("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass", Int.self) == 0
      }
      #expect(try await client.one("SELECT count(*) FROM t", Int.self) == 0)
      try await expectUsable(client, 2)
    }
  }

  @Test func whileWaitingForItsTurnOnAConnection() async throws {
    try await withClient(maximumConnections: 1) { client in
      try await client.withConnection { connection in
        let first = Task { try await connection.query("SELECT pg_sleep(0.5)") }
        try await Task.sleep(for: .milliseconds(100))
        let second = Task { try await connection.query("SELECT 2") }
        let third = Task { try await connection.one("SELECT 3", Int.self) }
        try await Task.sleep(for: .milliseconds(50))
        await cancel(second)
        _ = try await first.value
        #expect(try await third.value == 3)
      }
    }
  }

  /// Runs a transaction, cancels it some time, and says how it ended.
  private static func cancelledAtRandom(_ client: PostgresClient, _ number: Int) async -> String {
    let task = Task {
      try await client.withTransaction { connection in
        try await connection.query("SELECT \(number) FROM pg_sleep(0.002)")
        try await connection.pipeline(["SELECT \(number)", "SELECT pg_sleep(0.002)"])
      }
    }
    try? await Task.sleep(for: .microseconds(Int.random(in: 0..<100_000)))
    task.cancel()
    switch await task.result {
    case .success: return "done"
    case .failure(is CancellationError): return "cancelled"
    case .failure(let error): return "\(error)"
    }
  }

  @Test func atAnyMomentTheClientStaysUsable() async throws {
    try await withClient(maximumConnections: 4) { client in
      let found = await withTaskGroup(of: String.self) { group in
        for number in 0..<400 {
          group.addTask { await Self.cancelledAtRandom(client, number) }
        }
        return await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
      }
      #expect(Set(found.keys).isSubset(of: ["done", "cancelled"]), "\(found)")
      #expect(found["cancelled", default: 0] > 0)
      try await expectUsable(client, 4)
    }
  }
}

/// Takes connections and never says a word.
final class DeafListener: Sendable {
  let port: Int
  private let descriptor: Int32

  init() throws {
    port = try freePort()
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard code == 0, listen(descriptor, 16) == 0 else { throw TestSupportError("cannot listen") }
  }

  deinit { close(descriptor) }
}
