import Foundation
import HTTP
import Postgres
import TestSupport
import Testing
import Wire

@testable import RegistryDomain
@testable import RegistryService

@Suite("Batches of an import")
struct ImportBatchTests {
  @Test("what a row comes to does not depend on where batches are cut")
  func apart() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(
      world, ["metadataFields": [["name": "serial", "unique": true]]])
    let (first, second) = (Identifier.randomDeviceId(), Identifier.randomDeviceId())
    func row(_ mcuId: String, _ deviceId: String, _ serial: String) -> String {
      ImportTests.line(board, mcuId, #","deviceId":"\#(deviceId)","metadata":{"serial":"\#(serial)"}"#)
    }
    #expect(
      ImportTests.counts(await ImportTests.send(world, row("u1", first, "1") + row("u2", second, "2"))).first
        == 2)
    let new = Identifier.randomDeviceId()
    let cases: [(file: String, counts: [Int64])] = [
      // The mcuId of a device that the row before gives another one.
      (row("u3", first, "1") + row("u1", new, "3"), [1, 1, 0, 0]),
      // A value that only a later row gives up, and one that an earlier one gave up.
      (row("u4", Identifier.randomDeviceId(), "2") + row("u2", second, "4"), [0, 1, 0, 1]),
      (row("u2", second, "5") + row("u5", Identifier.randomDeviceId(), "4"), [1, 1, 0, 0]),
      // Of two that want one value the earlier one has it.
      (
        row("z1", Identifier.randomDeviceId(), "9") + row("a1", Identifier.randomDeviceId(), "9"),
        [1, 0, 0, 1]
      ),
    ]
    for (file, counts) in cases {
      for query in ["mode=upsert&dryRun=true", "mode=upsert"] {
        let answer = await ImportTests.send(world, file, query)
        #expect(ImportTests.counts(answer) == counts, "\(answer.json.text)")
      }
    }
    #expect(await world.send("GET", "device?boardId=\(board)&filter=mcuId==z1").json.array?.count == 1)
  }

  @Test("a dry run outlives a deadlock")
  func deadlock() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    #expect(
      ImportTests.counts(
        await ImportTests.send(world, ImportTests.line(board, "d1") + ImportTests.line(board, "d2"))
      ).first == 2)
    @Sendable func lock(_ mcuId: String) -> PostgresQuery {
      "SELECT FROM device WHERE board_id = \(UUID(uuidString: board)) AND mcu_id = \(mcuId) FOR UPDATE"
    }
    // The second row needs the first to be done: it holds d1 when it asks for d2.
    let file =
      ImportTests.line(board, "d1", #","name":"a""#) + ImportTests.line(board, "d1", #","name":"b""#)
      + ImportTests.line(board, "d2", #","name":"c""#)
    let running = try await world.database.withTransaction { connection in
      // The dry run is to be the one that is given up.
      try await connection.query("SET LOCAL deadlock_timeout = '20s'")
      try await connection.query(lock("d2"))
      let running = Task { await ImportTests.send(world, file, "mode=upsert&dryRun=true") }
      // On this connection: the pool's may all be busy, and the dry run has only so much patience.
      func isWaitedFor() async throws -> Bool {
        try await connection.query(
          "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        ).first?.decode(Bool.self) ?? false
      }
      let end = ContinuousClock.now + .seconds(20)
      while try await !isWaitedFor(), .now < end { try await Task.sleep(for: .milliseconds(10)) }
      try await connection.query(lock("d1"))
      return running
    }
    let result = await running.value
    #expect(result.status == 200 && ImportTests.counts(result) == [0, 3, 0, 0], "\(result.json.text)")
    #expect(try await ImportTests.revisions(world, board) == [1, 1])
  }

  @Test("with an Idempotency-Key the first summary comes again")
  func onceOnly() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let key: HTTPFields = ["Idempotency-Key": UUID().uuidString]
    let file = ImportTests.line(board, "i1") + ImportTests.line(board, "i2") + "{}\n"
    for _ in 0..<2 {
      #expect(ImportTests.counts(await ImportTests.send(world, file, headers: key)) == [2, 0, 0, 1])
    }
    #expect(await ImportTests.send(world, file + "{}", headers: key).status == 422)
    #expect(await ImportTests.send(world, file, "dryRun=true", headers: key).status == 422)
    #expect(await ImportTests.send(world, file, headers: ["Idempotency-Key": "a b"]).status == 400)
    #expect(ImportTests.counts(await ImportTests.send(world, file)) == [0, 0, 2, 1])
  }

  @Test(
    "while the first one with its Idempotency-Key runs, 409; a process that dies holds it for a minute at most"
  )
  func held() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let key = UUID().uuidString
    let headers: HTTPFields = ["Idempotency-Key": key]
    let (held, other) = (ImportTests.line(board, "h1"), ImportTests.line(board, "h2"))
    let running = try await world.database.withTransaction { connection in
      // The import waits for its board.
      try await connection.query("SELECT FROM board WHERE id = \(UUID(uuidString: board)) FOR UPDATE")
      let running = Task { await ImportTests.send(world, held, headers: headers) }
      try await eventually("it runs") {
        try await connection.query("SELECT FROM idempotency_hold WHERE key = \(key)").count == 1
      }
      let again = await ImportTests.send(world, held, headers: headers)
      #expect(again.status == 409 && again.headers["Retry-After"] == "1")
      return running
    }
    #expect(ImportTests.counts(await running.value) == [1, 0, 0, 0])
    #expect(ImportTests.counts(await ImportTests.send(world, held, headers: headers)) == [1, 0, 0, 0])
    #expect(try await world.database.query("SELECT FROM idempotency_hold WHERE key = \(key)").count == 0)
    let dead = UUID().uuidString
    for (age, status) in [("1 s", 409), ("-1 s", 200)] {
      try await world.database.query(
        """
        INSERT INTO idempotency_hold SELECT id, \(dead), gen_random_uuid(), now() + interval '\(unescaped: age)'
        FROM organisation ON CONFLICT (organisation_id, key) DO UPDATE SET held_until = EXCLUDED.held_until
        """)
      #expect(await ImportTests.send(world, other, headers: ["Idempotency-Key": dead]).status == status)
    }
  }
}
