import Foundation
import TestSupport
import Testing
import Threads

@testable import Postgres

/// Lines of several tasks.
private final class Log: Sendable {
  private let kept = Locked<[String]>([])
  var lines: [String] { kept.withLock { $0 } }
  func add(_ line: String) { kept.withLock { $0.append(line) } }
}

/// Wake-ups and leadership.
@Suite struct ListenTests {
  @Test func notificationsAreMergedWhileTheListenerIsBusy() async throws {
    try await withClient { client in
      let heard = Locked<[String]>([])
      let listener = Task {
        try await client.listen("odd \"channel") { payload in
          heard.withLock { $0.append(payload) }
          try await Task.sleep(for: .milliseconds(300))
        }
      }
      try await eventually("it listens") { heard.withLock { $0 } == [""] }
      for number in 0..<50 { try await client.query("SELECT pg_notify('odd \"channel', \("\(number)"))") }
      try await eventually("the last one is heard") { heard.withLock { $0.last } == "49" }
      #expect(heard.withLock { $0.count } < 25)
      listener.cancel()
      await #expect(throws: CancellationError.self) { try await listener.value }
    }
  }

  @Test func anEndedListeningConnectionIsMadeAgainAndSaysSo() async throws {
    try await withClient { client in
      let heard = Locked<[String]>([])
      let listener = Task {
        try await client.listen("c") { payload in heard.withLock { $0.append(payload) } }
      }
      try await eventually("it listens") { heard.withLock { $0 } == [""] }
      try await PostgresServer.shared().psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = '\(client.configuration.database)'"
      )
      try await eventually("it listens again") { heard.withLock { $0 } == ["", ""] }
      try await client.query("SELECT pg_notify('c', 'x')")
      try await eventually("it hears") { heard.withLock { $0.last } == "x" }
      listener.cancel()
    }
  }

  @Test func asASequence() async throws {
    try await withClient { client in
      var heard: [String] = []
      for await payload in client.notifications(channel: "c") {
        heard.append(payload)
        if payload == "end" { break }
        try await client.query("SELECT pg_notify('c', 'end')")
      }
      #expect(heard == ["", "end"])
      try await eventually("its connection is closed") {
        try await client.one(
          "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'",
          Int.self)
          == 0
      }
    }
  }

  @Test func theLockHasOneHolderAndPassesOn() async throws {
    try await withClient { client in
      let log = Log()
      @Sendable func leader(_ name: String) async throws {
        try await client.withAdvisoryLock(key: 42, retryEvery: .milliseconds(20)) {
          log.add("\(name) in")
          defer { log.add("\(name) out") }
          try await Task.sleep(for: .seconds(600))
        }
      }
      let first = Task { try await leader("a") }
      try await eventually("a leads") { log.lines == ["a in"] }
      let second = Task { try await leader("b") }
      try await Task.sleep(for: .milliseconds(200))
      #expect(log.lines == ["a in"])
      first.cancel()
      await #expect(throws: CancellationError.self) { try await first.value }
      try await eventually("b leads") { log.lines == ["a in", "a out", "b in"] }
      second.cancel()
      _ = await second.result
      #expect(try await client.one("SELECT pg_try_advisory_lock(42)", Bool.self) == true)
    }
  }

  @Test func aLeaderWhoseConnectionDiesIsStopped() async throws {
    try await withClient { client in
      let isLeading = Locked(false)
      let leader = Task {
        try await client.withAdvisoryLock(key: 43, retryEvery: .milliseconds(20)) {
          isLeading.withLock { $0 = true }
          defer { isLeading.withLock { $0 = false } }
          try await Task.sleep(for: .seconds(600))
        }
      }
      try await eventually("it leads") { isLeading.withLock { $0 } }
      try await PostgresServer.shared().psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_lock%' AND datname = '\(client.configuration.database)' AND pid <> pg_backend_pid()"
      )
      let error = await fault { try await leader.value }
      #expect(error?.kind == .connection)
      #expect(!isLeading.withLock { $0 })
    }
  }

  @Test func aLeaderWhoseServerHangsIsStopped() async throws {
    let server = try await PostgresServer()
    try await withClient(url: server.url) { client in
      let isLeading = Locked(false)
      let leader = Task {
        try await client.withAdvisoryLock(key: 44, probeEvery: .milliseconds(200)) {
          isLeading.withLock { $0 = true }
          try await Task.sleep(for: .seconds(600))
        }
      }
      try await eventually("it leads") { isLeading.withLock { $0 } }
      server.pause()
      let error = await fault { try await leader.value }
      #expect(error?.kind == .connection)
      server.resume()
    }
  }

  @Test func aLeaderThatStandsStillIsReplaced() async throws {
    try await withClient { client in
      // One that has taken the lock and says nothing more, as a stopped process, whose kernel keeps the connection.
      let key: Int64 = -46
      let still = Task {
        try await client.withConnection { connection in
          _ = try await connection.query("SELECT pg_advisory_lock(\(key))")
          try await Task.sleep(for: .seconds(600))
        }
      }
      try await eventually("it holds the lock") {
        try await client.one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", Int.self) == 1
      }
      let seven = try await client.withAdvisoryLock(
        key: key, retryEvery: .milliseconds(20), patience: .milliseconds(600)
      ) { 7 }
      #expect(seven == 7)
      still.cancel()
      _ = await still.result
    }
  }

  @Test func aLeaderThatOnlyHasNothingToDoIsNot() async throws {
    try await withClient { client in
      let isLeading = Locked(false)
      let leader = Task {
        try await client.withAdvisoryLock(key: 47, probeEvery: .milliseconds(100)) {
          isLeading.withLock { $0 = true }
          try await Task.sleep(for: .seconds(600))
        }
      }
      try await eventually("it leads") { isLeading.withLock { $0 } }
      let looks = Locked(0)
      let second = Task {
        try await client.withAdvisoryLock(
          key: 47, retryEvery: .milliseconds(50), patience: .milliseconds(1000)
        ) { looks.withLock { $0 += 1 } }
      }
      try await Task.sleep(for: .seconds(3))
      #expect(looks.withLock { $0 } == 0)
      leader.cancel()
      _ = await leader.result
      _ = try await second.value
      #expect(looks.withLock { $0 } == 1)
    }
  }

  @Test func theBodysOwnErrorAndValueComeThrough() async throws {
    struct Oops: Error {}
    try await withClient { client in
      let seven = try await client.withAdvisoryLock(key: 45) { 7 }
      #expect(seven == 7)
      await #expect(throws: Oops.self) { try await client.withAdvisoryLock(key: 45) { throw Oops() } }
      #expect(try await client.withAdvisoryLock(key: 45) { 8 } == 8)
    }
  }
}
