import AsyncHTTPClient
import Foundation
import HTTP
import Kafka
import Loop
import Observability
import Postgres
import TestSupport
import Testing
import Wire

@testable import RegistryDomain
@testable import RegistryService

/// A registry's router behind a socket: bodies that stream need one.
struct BulkServer {
  let world: World
  let server: HTTPServer
  let client = HTTPClient(logger: Logger(label: "test", level: .error))

  static func with(_ body: (BulkServer) async throws -> Void) async throws {
    let world = try await World.shared()
    let api = world.api
    let server = HTTPServer(
      configuration: HTTPServerConfiguration(
        largeBodies: .init(
          paths: [["device", "import"]], maximumBytes: 64 << 20, maximumBytesAtOnce: 64 << 20)),
      loop: .start("bulk-test"), logger: Logger(label: "test", level: .error)
    ) { await api.respond(to: $0) }
    try server.start()
    do { try await body(BulkServer(world: world, server: server)) } catch {
      await server.shutdown()
      throw error
    }
    await server.shutdown()
  }

  func send(
    _ method: HTTPMethod, _ path: String, _ body: String? = nil, _ headers: HTTPFields = [:],
    as key: String = "operator"
  )
    async throws -> (status: Int, lines: [JSON])
  {
    var headers = headers
    headers["X-API-Key"] = world.names[key]
    let answer = try await client.execute(
      method, url: "http://127.0.0.1:\(server.port)/\(path)", headers: headers,
      body: body.map { Array($0.utf8) })
    let lines = answer.body.split(separator: UInt8(ascii: "\n"))
    return (answer.status, lines.map { (try? JSON(parsing: Array($0))) ?? .null })
  }
}

@Suite("Import and export")
struct ImportTests {
  /// Sends a file to the router.
  static func send(
    _ world: World, _ text: String, _ query: String = "", type: String = "application/x-ndjson",
    as key: String = "operator", headers: HTTPFields = [:]
  ) async -> Answer {
    var headers = headers
    headers["X-API-Key"] = world.names[key] ?? key
    headers["Content-Type"] = type
    let request = HTTPRequest(
      method: .post, target: "/device/import?\(query)", headers: headers,
      body: Array(text.filled(world.names).utf8))
    let response = await world.api.respond(to: request)
    guard case .bytes(let bytes) = response.body else {
      return Answer(status: response.status, headers: [:], json: .null)
    }
    return Answer(
      status: response.status, headers: response.headers, json: (try? JSON(parsing: bytes)) ?? .null)
  }

  /// Created, updated, unchanged, failed.
  static func counts(_ answer: Answer) -> [Int64?] {
    ["created", "updated", "unchanged", "failed"].map { answer.json[$0]?.int }
  }

  static func errors(_ answer: Answer) -> [String] {
    (answer.json["errors"]?.array ?? []).map {
      "\($0["row"]?.int ?? 0)/\($0["line"]?.int ?? 0) \($0["pointer"]?.string ?? "-")"
    }
  }

  static func line(_ board: String, _ mcuId: String, _ more: String = "") -> String {
    #"{"boardId":"\#(board)","mcuId":"\#(mcuId)"\#(more)}"# + "\n"
  }

  static func revisions(_ world: World, _ board: String) async throws -> [Int64] {
    try await world.database.query(
      "SELECT rev FROM device WHERE board_id = \(UUID(uuidString: board)) ORDER BY mcu_id COLLATE \"C\""
    ).decode(Int64.self)
  }

  @Test("a row is made, left alone, refused or changed; the same file again changes nothing")
  func modes() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let file =
      Self.line(
        board, "m1",
        #","name":"One","metadata":{"site":"A","rack":"1"},"initialDeviceState":{"applicationId":"x"}"#)
      + Self.line(board, "m2", #","deviceId":"\#(Identifier.randomDeviceId())""#)
    let dry = await Self.send(world, file, "dryRun=true")
    #expect(dry.status == 200 && dry.json["dryRun"] == true)
    #expect(Self.counts(dry) == [2, 0, 0, 0])
    #expect(try await Self.revisions(world, board).isEmpty)
    let first = await Self.send(world, file)
    #expect(Self.counts(first) == [2, 0, 0, 0] && first.json["rows"] == 2)
    for query in ["", "mode=upsert", "dryRun=true"] {
      #expect(Self.counts(await Self.send(world, file, query)) == [0, 0, 2, 0])
    }
    #expect(try await Self.revisions(world, board) == [1, 1])
    let device = await world.send("GET", "device?boardId=\(board)&filter=mcuId==m1").json.array?.first
    #expect(device?["name"] == "One" && device?["metadata"] == ["site": "A", "rack": "1"])
    let state = await world.send("GET", "device/id/\(device?["id"]?.string ?? "")/state")
    #expect(state.json["applicationId"] == "x")

    let other = Self.line(board, "m1", #","name":"Two","metadata":{"site":"B"}"#)
    let refused = await Self.send(world, other)
    #expect(Self.counts(refused) == [0, 0, 0, 1] && Self.errors(refused) == ["1/1 /mcuId"])
    #expect(Self.counts(await Self.send(world, other, "mode=upsert&dryRun=true")) == [0, 1, 0, 0])
    #expect(Self.counts(await Self.send(world, other, "mode=upsert")) == [0, 1, 0, 0])
    #expect(Self.counts(await Self.send(world, other, "mode=upsert")) == [0, 0, 1, 0])
    #expect(try await Self.revisions(world, board) == [2, 1])
    let changed = await world.send("GET", "device?boardId=\(board)&metadata.site=B").json.array?.first
    #expect(changed?["name"] == "Two" && changed?["metadata"] == ["site": "B", "rack": "1"])
    #expect(await world.send("GET", "device?boardId=\(board)&metadata.site=A").json == [])
  }

  @Test("each row fails alone, with its row, its line and a pointer")
  func faults() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(
      world, ["metadataFields": [["name": "site", "required": true], ["name": "serial", "unique": true]]])
    func row(_ mcuId: String, _ more: String = "", site: String = "A", serial: String? = nil) -> String {
      let serial = serial.map { #","serial":"\#($0)""# } ?? ""
      return Self.line(board, mcuId, #","metadata":{"site":"\#(site)"\#(serial)}\#(more)"#)
    }
    let taken = Identifier.randomDeviceId()
    let file =
      row("f1", serial: "1") + row("f2", serial: "1") + "\n" + row("f3", site: "") + "{\"mcuId\":\n"
      + row("a b", #","z":1"#) + row("f4", #","deviceId":"{deviceId}""#)
      + row("f5", #","deviceId":"\#(taken)""#)
      + row("f6", #","deviceId":"\#(taken)""#) + row("f7", #","deviceId":1234567890123456"#)
      + row("f8", #","organisationId":"{other}""#) + Self.line("{nobody}", "f9")
      + row("f10", #","networkId":"{nobody}""#) + "[]\n" + row("f1", serial: "2") + row("f11", serial: "3")
    let expected = [
      "2/2 /metadata/serial", "3/4 /metadata/site", "4/5 /mcuId", "5/6 /mcuId", "5/6 /z", "6/7 /deviceId",
      "8/9 /deviceId", "9/10 /deviceId", "10/11 /organisationId", "11/12 /boardId", "12/13 /networkId",
      "13/14 -",
      "14/15 /mcuId",
    ]
    for query in ["dryRun=true", ""] {
      let answer = await Self.send(world, file, query)
      #expect(answer.status == 200)
      #expect(Self.counts(answer) == [3, 0, 0, 12], "\(answer.json.text)")
      #expect(Self.errors(answer).filter { !$0.hasPrefix("4/5") } == expected.filter { !$0.hasPrefix("4/5") })
      #expect(answer.json["errorsOmitted"] == 0)
    }
    let names = ListTests.names(await world.send("GET", "device?boardId=\(board)"))
    #expect(names == ["f1", "f5", "f11"])
    let again = await Self.send(world, file)
    #expect(Self.counts(again).first == 0 && Self.counts(again)[2] == 3)
  }

  @Test("rows that mean one device are done one after the other")
  func sameDevice() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let id = Identifier.randomDeviceId()
    let file =
      Self.line(board, "s1", #","deviceId":"\#(id)","name":"a""#) + Self.line(board, "s1", #","name":"b""#)
      + Self.line(board, "s2", #","deviceId":"\#(id)""#) + Self.line(board, "s1", #","name":"new""#)
      + Self.line(board, "s2", #","name":"b""#)
    #expect(Self.counts(await Self.send(world, file, "mode=upsert&dryRun=true")) == [2, 2, 1, 0])
    #expect(Self.counts(await Self.send(world, file, "mode=upsert")) == [2, 2, 1, 0])
    let devices = await world.send("GET", "device?boardId=\(board)").json.array ?? []
    #expect(devices.map { $0["name"]?.string } == ["b", "new"] && devices[0]["mcuId"] == "s2")
    // In one batch, what the second row means depends on the first.
    let swap =
      Self.line(board, "s3", #","deviceId":"\#(id)""#) + Self.line(board, "s2", #","name":"third""#)
    #expect(Self.counts(await Self.send(world, swap, "mode=upsert&dryRun=true")) == [1, 1, 0, 0])
    #expect(Self.counts(await Self.send(world, swap, "mode=upsert")) == [1, 1, 0, 0])
  }

  @Test("CSV, with ids that look like numbers")
  func csv() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let suffix = Identifier.randomDeviceId().suffix(8)
    let id = String(repeating: "0", count: 8) + suffix
    let file =
      "MCUID;boardId;deviceId;name;metadata.site\r\n007;\(board);\(id);\"Line\r\nbreak\";A\r\n7;\(board);;;\r\n"
      + "1e3;\(board);;;\r\n1000;\(board);;;\r\n0x10;\(board);;;\r\n1.23457E15;\(board);;;\r\n1.23457E15;\(board);;Two;\r\n"
      + "x;\(board);1.23457E+15;;\r\ny;\(board);'\(id);;\r\nz;\(board)\r\n"
    let answer = await Self.send(world, file, type: "text/csv; charset=utf-8")
    #expect(Self.counts(answer) == [6, 0, 0, 4], "\(answer.json.text)")
    #expect(Self.errors(answer) == ["7/9 /mcuId", "8/10 /deviceId", "9/11 /deviceId", "10/12 -"])
    #expect(await world.send("GET", "device/deviceId/\(id)").json["mcuId"] == "007")
    #expect(
      ListTests.names(await world.send("GET", "device?boardId=\(board)")) == [
        "007", "7", "1e3", "1000", "0x10", "1.23457E15",
      ])
    #expect(Self.counts(await Self.send(world, file, type: "text/csv")) == [0, 0, 6, 4])
  }

  @Test("what is refused whole")
  func refusedWhole() async throws {
    let world = try await World.shared()
    let header = await Self.send(world, "mcuId,bord\na,b\n", type: "text/csv")
    #expect(header.status == 422 && header.pointers.contains("/1"))
    #expect(await Self.send(world, "{}", type: "application/json").status == 415)
    #expect(await Self.send(world, "{}", "mode=replace").status == 400)
    #expect(await Self.send(world, "{}", "dryRun=yes").status == 400)
    #expect(await Self.send(world, "{}", "limit=1").status == 400)
    let many = await Self.send(world, String(repeating: "{}\n", count: 100_001))
    #expect(many.status == 413 && many.json["detail"]?.string?.contains("100000") == true)
    #expect(await Self.send(world, "{}", as: "viewer").status == 403)
    #expect(await Self.send(world, "{}", as: "no-key").status == 401)
    let empty = await Self.send(world, "")
    #expect(empty.status == 200 && Self.counts(empty) == [0, 0, 0, 0])
    let bad = await Self.send(world, String(repeating: "{\n", count: 1500))
    #expect(
      bad.json["errors"]?.array?.count == 1000 && bad.json["errorsOmitted"] == 500
        && bad.json["failed"] == 1500)
  }

  @Test("another organisation's devices are in the way and stay as they are; root imports for any")
  func organisations() async throws {
    let world = try await World.shared()
    let file = #"{"boardId":"{publicBoard}","mcuId":"own","deviceId":"{deviceId}","name":"mine now"}"#
    let foreign = await Self.send(world, file, "mode=upsert", as: "stranger")
    #expect(Self.counts(foreign) == [0, 0, 0, 1] && Self.errors(foreign) == ["1/1 /deviceId"])
    #expect(await world.send("GET", "device/deviceId/{deviceId}").json["name"] == nil)
    let board = await Self.send(world, Self.line("{board}", "x"), as: "stranger")
    #expect(Self.errors(board) == ["1/1 /boardId"])
    let one = "r\(UUID().uuidString)"
    let rows = [("{mine}", one), ("{other}", one + "b"), ("{nobody}", "x"), ("{mine}", one + "c")].map {
      whose, mcuId in
      #"{"boardId":"{publicBoard}","mcuId":"\#(mcuId)","organisationId":"\#(whose)"}"# + "\n"
    }
    for query in ["dryRun=true", ""] {
      let root = await Self.send(world, rows.joined() + Self.line("{publicBoard}", "y"), query, as: "root")
      #expect(Self.counts(root) == [3, 0, 0, 2], "\(root.json.text)")
      #expect(Self.errors(root) == ["3/3 /organisationId", "5/5 /organisationId"])
    }
    #expect(ListTests.names(await world.send("GET", "device?q=\(one)b", as: "stranger")) == [one + "b"])
  }

  @Test("groups follow")
  func groups() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let group: JSON = ["name": "g", "query": ["filter": .string("boardId==\(board);metadata.site==A")]]
    let id = try #require(await world.send("POST", "group", body: group).json["id"]?.string)
    let file = (0..<1200).map {
      Self.line(board, "g\($0)", #","metadata":{"site":"\#($0 % 2 == 0 ? "A" : "B")"}"#)
    }.joined()
    #expect(Self.counts(await Self.send(world, file)) == [1200, 0, 0, 0])
    let members = await world.send("GET", "group/id/\(id)/device?limit=1")
    #expect(members.headers["X-Total-Count"] == "600")
    let moved =
      Self.line(board, "g0", #","metadata":{"site":"B"}"#)
      + Self.line(board, "g1", #","metadata":{"site":"A"}"#)
      + Self.line(board, "g2", #","metadata":{"site":"B"}"#)
    #expect(Self.counts(await Self.send(world, moved, "mode=upsert")) == [0, 3, 0, 0])
    #expect(await world.send("GET", "group/id/\(id)/device?limit=1").headers["X-Total-Count"] == "599")
  }

  @Test("two imports of the same devices at a time: each is made once")
  func concurrent() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let lines = (0..<600).map { Self.line(board, "c\($0)") }
    let answers = await withTaskGroup(of: Answer.self) { group in
      for number in 0..<4 {
        let file = (number % 2 == 0 ? lines : lines.reversed()).joined()
        group.addTask { await Self.send(world, file, "mode=upsert") }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(answers.allSatisfy { $0.status == 200 }, "\(answers.map(\.json.text))")
    let total = { (name: String) in answers.reduce(0) { $0 + ($1.json[name]?.int ?? 0) } }
    #expect(total("created") == 600)
    #expect(total("unchanged") == 1800, "\(answers.map(\.json.text))")
    #expect(await world.send("GET", "device?boardId=\(board)&limit=1").headers["X-Total-Count"] == "600")
  }

  @Test("a line for each row as it is done, then the summary; and what was imported is exported")
  func streams() async throws {
    try await BulkServer.with { server in
      let board = try await DeviceTests.board(server.world)
      let count = 1300
      let padding = String(repeating: "x", count: 500)
      let file =
        (0..<count).map {
          Self.line(board, "e\($0)", #","metadata":{"a":"\#(padding)","b":"\#(padding)","n":"\#($0)"}"#)
        }.joined() + "{}\n"
      #expect(file.utf8.count > 1 << 20)
      for query in ["?dryRun=true", ""] {
        let answer = try await server.send(
          .post, "device/import\(query)", file,
          ["Content-Type": "application/x-ndjson", "Accept": "application/x-ndjson"])
        #expect(answer.status == 200 && answer.lines.count == count + 2)
        #expect(
          answer.lines.prefix(count).allSatisfy { $0["result"] == "created" && $0["deviceId"]?.string != nil }
        )
        #expect(answer.lines[count - 1]["row"] == .int(Int64(count)))
        #expect(answer.lines[count]["result"] == "failed" && answer.lines[count]["errors"]?.array?.count == 2)
        #expect(answer.lines.last?["created"] == .int(Int64(count)) && answer.lines.last?["failed"] == 1)
      }
      let exported = try await server.send(.get, "device/export?boardId=\(board)", as: "viewer")
      #expect(exported.status == 200)
      #expect(exported.lines.compactMap { $0["mcuId"]?.string } == (0..<count).map { "e\($0)" })
      let one = try await server.send(.get, "device/export?boardId=\(board)&filter=metadata.n=in=(7,8)")
      #expect(one.lines.compactMap { $0["mcuId"]?.string } == ["e7", "e8"])
      #expect(try await server.send(.get, "device/export?filter=nope==1").status == 400)
      #expect(try await server.send(.get, "device/export?limit=1").status == 400)
      #expect(try await server.send(.get, "device/export?boardId=\(board)", as: "stranger").lines == [])
      #expect(try await server.send(.get, "device/export", as: "nobody").status == 401)
      // A large body elsewhere is refused.
      #expect(
        try await server.send(.post, "device", file, ["Content-Type": "application/json"]).status == 413)
      // What was exported can be imported: it is all there.
      let again = try await server.send(
        .post, "device/import?mode=upsert",
        exported.lines.map { device in
          let kept = ["mcuId", "boardId", "organisationId", "deviceId", "metadata"]
          let members = (device.object?.members ?? []).filter { kept.contains($0.name) }
          return JSON.object(members.reduce(into: JSONObject()) { $0[$1.name] = $1.value }).text + "\n"
        }.joined(), ["Content-Type": "application/x-ndjson"])
      #expect(again.lines.first?["unchanged"] == .int(Int64(count)))
    }
  }
}
