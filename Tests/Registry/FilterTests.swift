import Foundation
import HTTP
import Runtime
import Testing
import Wire

@testable import FilterLanguage
@testable import RegistryDomain
@testable import RegistryService

@Suite("Filters in the database")
struct FilterTests {
  /// A board of devices that differ in all that a filter can ask for, made once.
  struct Fleet: Sendable {
    let world: World
    let board: String
  }

  private static let common = Task {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let fleet: [(name: String, body: JSON)] = [
      (
        "f0",
        ["name": "Press 10", "metadata": ["site": "A", "rack&row": "R&D + 50%", "fw": "1.9.3", "n": "9"]]
      ),
      ("f1", ["name": "Press 9", "metadata": ["site": "B", "a b": "O'Brien", "fw": "1.10.0", "n": "10"]]),
      ("f2", ["name": "press", "metadata": ["site": "AB", "u": "_", "fw": "1.10.0-rc.1", "n": "-3.5"]]),
      ("f3", ["metadata": ["site": "", "u": "x", "n": "ten", "fw.channel": "beta"]]),
      ("f4", ["metadata": ["back": #"a\b"#, "star": "*", "at": "2025-11-30T23:00:00+02:00"]]),
    ]
    for (index, device) in fleet.enumerated() {
      var body = device.body.object ?? JSONObject()
      body["boardId"] = .string(board)
      body["mcuId"] = .string("f\(index)")
      if index < 2 {
        body["initialDeviceState"] = [
          "applicationId": .string("app\(index)"),
          "applicationVersion": [
            "major": 1, "minor": .int(index == 0 ? 9 : 10), "revision": 0, "buildNum": 7,
          ],
        ]
      }
      let answer = await world.send("POST", "device", body: .object(body))
      #expect(answer.status == 201)
      let id = answer.json["deviceId"]?.string ?? ""
      let states: [JSONObject] = [
        ["battery": 87, "mode": "sleep", "ok": true], ["battery": .double(9.5), "mode": "50%"],
        ["battery": "none", "gps.lat": -1], [:], [:],
      ]
      if !states[index].isEmpty {
        try await StateStorageTests.apply(
          world, [StateStorageTests.record(id, .state(.init(attributes: states[index])), at: Double(index))])
      }
      if index < 2 {
        try await StateStorageTests.apply(
          world, [StateStorageTests.record(id, .presence(online: index == 0), at: Double(index) + 1)])
      }
    }
    return Fleet(world: world, board: board)
  }

  static func find(_ filter: String, path: String = "device") async throws -> Answer {
    let fleet = try await common.value
    return await fleet.world.send(
      "GET", "\(path)?boardId=\(fleet.board)&filter=\(ListTests.escape(filter))")
  }

  @Test(
    "finds",
    arguments: [
      ("metadata.site==A", "0"), ("metadata.site==A*", "0 2"), ("metadata.site==*B", "1 2"),
      ("metadata.site==*", "0 1 2 3"), ("metadata.site==''", "3"), ("metadata.site!=A", "1 2 3"),
      ("metadata.site=in=(A,B)", "0 1"), ("metadata.site=in=(A*,B)", "0 1 2"),
      ("metadata.site=out=(A,B)", "2 3"), ("metadata.site=out=(A*)", "1 3"),
      ("metadata.site=exists=false", "4"), ("metadata.site==a", ""), ("metadata.site!=*", ""),
      ("metadata.site==A,metadata.site==B", "0 1"), ("metadata.site==A,metadata.u==x", "0 3"),
      ("metadata.site==A;metadata.n==9", "0"), ("metadata.site==A,name==press", "0 2"),
      ("metadata.rack&row==\"R&D + 50%\"", "0"), ("metadata.rack&row==R*", "0"),
      ("metadata.a b==\"O'Brien\"", "1"), (#"metadata.a b=='O\'Brien'"#, "1"),
      ("metadata.u==_", "2"), ("metadata.u==_*", "2"), ("metadata.u==*_", "2"), ("metadata.u==%*", ""),
      ("metadata.fw.channel==beta", "3"), (#"metadata.back==a\b"#, "4"), (#"metadata.star=="\*""#, "4"),
      // As numbers, as versions, as times where both are such; else as text.
      ("metadata.n=lt=10", "0 2"), ("metadata.n=ge=9.0", "0 1 3"), ("metadata.n=gt=1e1", "3"),
      ("metadata.n==9.0", ""), ("metadata.fw=ge=1.10.0", "1"), ("metadata.fw=lt=1.10", "0 2"),
      ("metadata.fw=le=1.10.0-rc.1", "0 2"), ("metadata.at=gt=2025-11-30T20:59:59Z", "4"),
      ("metadata.at=gt=2025-11-30T21:00:00Z", ""), ("metadata.site=gt=A", "1 2"),
      ("name==Press 9", nil), ("name=='Press 9'", "1"), ("name=='Press*'", "0 1"), ("name==*ress*", "0 1 2"),
      ("name!='Press 9'", "0 2"), ("name=exists=false", "3 4"), ("name=lt=Q", "0 1"),
      ("mcuId==f3", "3"), ("mcuId==f*", "0 1 2 3 4"), ("mcuId=gt=f2", "3 4"), ("soc==*", "0 1 2 3 4"),
      ("soc==nope", ""), ("deviceId=exists=true", "0 1 2 3 4"), ("boardId=exists=false", ""),
      ("createdAt=lt=2020-01-01T00:00:00Z", ""), ("createdAt=gt=2020-01-01T00:00:00Z", "0 1 2 3 4"),
      ("createdAt=le=9999-01-01T00:00:00Z;updatedAt==20*", "0 1 2 3 4"),
      ("createdAt!=2020-01-01T00:00:00Z", "0 1 2 3 4"),
      // State.
      ("online==true", "0 2"), ("online==false", "1"), ("online!=true", "1"), ("online=exists=false", "3 4"),
      ("online=in=(true,false)", "0 1 2"), ("lastSeenAt=exists=true", "0 1 2"),
      ("lastSeenAt=gt=2020-01-01T00:00:00Z;metadata.site==A*", "0 2"),
      ("applicationId==app1", "1"), ("applicationVersion==1.9.0.7", "0"), ("applicationVersion=ge=1.10", "1"),
      ("applicationVersion=gt=1.9", "0 1"), ("applicationVersion!=1.9.0.7", "1"),
      ("applicationVersion==1.1*", "1"), ("applicationVersion=in=(1.9.0.7,1.10.0.7)", "0 1"),
      ("attributes.battery==87", "0"), ("attributes.battery==87.0", "0"), ("attributes.battery=lt=10", "1"),
      ("attributes.battery!=87.0", "1 2"), ("attributes.battery==none", "2"), ("attributes.ok==true", "0"),
      ("attributes.mode==50%", "1"), ("attributes.mode==*l*", "0"), ("attributes.gps.lat==-1", "2"),
      ("attributes.mode=exists=false", "2 3 4"), ("attributes.nope!=1", ""),
      ("(online==true,metadata.u==x);name=exists=false", "3"),
    ] as [(String, String?)])
  func finds(_ filter: String, _ expected: String?) async throws {
    for path in ["device", "device-and-state"] {
      let answer = try await Self.find(filter, path: path)
      guard let expected else {
        #expect(answer.status == 400)
        continue
      }
      #expect(answer.status == 200, "\(answer.json.text)")
      #expect(ListTests.names(answer) == expected.split(separator: " ").map { "f\($0)" })
      #expect(answer.headers["X-Total-Count"] == "\(expected.split(separator: " ").count)")
    }
  }

  @Test("no stored value makes a filter fail, and each is a time or none")
  func oddTimes() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let digits = String(repeating: "1", count: 300)
    let times: [(text: String, isTime: Bool)] = [
      ("2025-11-30T23:00:00+15:59", true), ("2025-11-30T23:00:00-15:59", true),
      ("2025-11-30T23:00:00+16:00", false), ("2025-11-30T23:00:00-20:00", false),
      ("2025-11-30T23:00:00+23:59", false), ("2025-11-30T23:00:00.\(digits)Z", false),
      ("2025-11-30T23:59:59.99999999999999999999999999999Z", true), ("2025-11-30t23:00:00z", true),
      ("2025-11-30T23:00:60Z", false), ("2025-02-29T23:00:00Z", false), ("0000-11-30T23:00:00Z", false),
      ("0001-01-01T00:00:00Z", false), ("9999-12-31T23:59:59-15:00", false),
      ("9999-12-30T23:59:59-15:00", true), ("0001-01-02T00:00:00+15:00", true),
      ("٢٠٢٥-11-30T23:00:00Z", false), ("2025-11-30T23:00:00Z\n", false), ("1e999", false), ("1e-999", false),
      ("\(digits)", false), ("1.\(digits)", false), ("1.2-\(digits)", false), ("1.2.3-..", false),
      (String(repeating: "9.", count: 40) + "9-" + String(repeating: "9", count: 15), false), ("-", false),
    ]
    for (index, time) in times.enumerated() {
      let device: JSON = [
        "boardId": .string(board), "mcuId": .string("t\(index)"), "metadata": ["at": .string(time.text)],
      ]
      #expect(await world.send("POST", "device", body: device).status == 201)
      let isTime = try await world.database.query("SELECT filter_time(\(time.text)) IS NOT NULL").first?
        .decode(Bool.self)
      #expect(isTime == time.isTime, "\(time.text)")
    }
    for value in [
      "2024-01-01T00:00:00Z", "2024-01-01T00:00:00+23:00", "5", "1e999", "1.2.3-rc.1", "9.\(digits)",
    ] {
      for relation in ["=lt=", "=le=", "=gt=", "=ge=", "==", "!="] {
        let filter = ListTests.escape("metadata.at\(relation)\(value)")
        #expect(await world.send("GET", "device?boardId=\(board)&filter=\(filter)").status == 200)
      }
    }
  }

  @Test(
    "a version that a device sent is four whole numbers or none",
    arguments: [
      (#"{"major":1,"minor":2,"revision":3,"buildNum":4}"#, "1.2.3.4"),
      (#"{"major":1.0,"minor":2,"revision":3,"buildNum":4}"#, nil),
      (#"{"major":-1,"minor":2,"revision":3,"buildNum":4}"#, nil),
      (#"{"major":"1","minor":2,"revision":3,"buildNum":4}"#, nil),
      (#"{"major":[1],"minor":2,"revision":3,"buildNum":4}"#, nil),
      (#"{"major":1,"minor":2,"revision":3,"buildNum":4,"x":5}"#, nil),
      (#"{"major":1,"minor":2,"revision":3}"#, nil), ("7", nil), (#""1.2.3.4""#, nil), ("[]", nil),
      (#"{"major":9223372036854775807,"minor":0,"revision":0,"buildNum":0}"#, "9223372036854775807.0.0.0"),
      (#"{"major":9223372036854775808,"minor":0,"revision":0,"buildNum":0}"#, nil),
    ] as [(String, String?)])
  func software(_ json: String, _ expected: String?) async throws {
    let world = try await World.shared()
    let text = try await world.database.query("SELECT filter_software(\(json)::text::jsonb)").first?
      .decode(String?.self)
    #expect(text == .some(expected))
    #expect(DeviceSoftware.fits("applicationVersion", try JSON(parsing: json)) == (expected != nil))
  }

  @Test("a filter that takes too long is refused in words that help")
  func tooDear() async throws {
    // Of its own: all who ask for devices in it wait meanwhile.
    let world = try await World()
    let database = world.database
    var filter = DeviceFilter(organisation: nil)
    filter.require(try DeviceExpression(parsing: "name==x"))
    filter.patience = .milliseconds(20)
    let dear = filter
    // Stands for the work: the list waits for the table.
    try await database.withTransaction { connection in
      try await connection.query("LOCK TABLE device IN ACCESS EXCLUSIVE MODE")
      let problem = await #expect(throws: Problem.self) { try await dear.page(PageRequest(), on: database) }
      #expect(problem?.status == 422 && problem?.detail.contains("too expensive") == true)
    }
    #expect(try await dear.page(PageRequest(), on: database).items.isEmpty)
  }

  @Test("by ids, and with the simple parameters")
  func ids() async throws {
    let all = try await Self.find("soc==*").json.array ?? []
    let (first, last) = (try #require(all.first), try #require(all.last))
    let (id, deviceId) = (first["id"]?.string ?? "", last["deviceId"]?.string ?? "")
    #expect(ListTests.names(try await Self.find("id==\(id),deviceId==\(deviceId)")) == ["f0", "f4"])
    #expect(
      ListTests.names(try await Self.find("id==\(id.prefix(35))*;id!=\(UUID().uuidString)")).contains("f0"))
    #expect(ListTests.names(try await Self.find("id=gt=\(id)")) == ["f1", "f2", "f3", "f4"])
    let created = try #require(first["createdAt"]?.string)
    #expect(
      ListTests.names(try await Self.find("createdAt==\(created);createdAt=ge=\(created)")).contains("f0"))
    #expect(ListTests.names(try await Self.find("createdAt=gt=\(created)")).contains("f4"))
    let fleet = try await Self.common.value
    let both = await fleet.world.send(
      "GET", "device?boardId=\(fleet.board)&metadata.site=A&online=true&filter=name==Press*")
    #expect(ListTests.names(both) == ["f0"])
    let raw = await fleet.world.send(
      "GET", "device?boardId=\(fleet.board)&filter=createdAt=gt=2020-11-30T23:00:00+02:00")
    #expect(ListTests.names(raw).count == 5)
  }

  @Test("pages by cursor")
  func pages() async throws {
    let fleet = try await Self.common.value
    for filter in ["metadata.n=exists=true", "metadata.site==*", "metadata.site=in=(A,B,AB,'')"] {
      let path = "device?boardId=\(fleet.board)&limit=2&filter=\(ListTests.escape(filter))"
      #expect(try await ListTests.walk(fleet.world, path) == [["f0", "f1"], ["f2", "f3"]])
    }
    #expect(
      try await ListTests.walk(
        fleet.world, "device-and-state?boardId=\(fleet.board)&limit=1&filter=online==*")
        == [["f0"], ["f1"], ["f2"]])
  }

  @Test("a fault is 400 with its place; nothing of another organisation is found")
  func faults() async throws {
    let answer = try await Self.find("name==a;nope==b")
    #expect(answer.status == 400)
    #expect(answer.json["detail"]?.string?.contains("filter") == true)
    #expect(answer.json["detail"]?.string?.contains("column 9") == true)
    let world = try await World.shared()
    #expect(await world.send("GET", "device?filter=").status == 400)
    #expect(await world.send("GET", "device?filter=soc==a&filter=soc==b").status == 400)
    #expect(await world.send("GET", "device-and-state?metadata.=x").status == 400)
    let foreign = await world.send("GET", "device?filter=mcuId==*", as: "stranger")
    #expect(!ListTests.names(foreign).contains("f0"))
  }

  @Test("values are bound and never part of the statement")
  func bound() async throws {
    for text in ["'; DROP TABLE device; --", "$1", "\\'", "\u{1F480}", "x\u{1}"] {
      let quoted = text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(
        of: "\"", with: "\\\"")
      for field in ["metadata.\"\(quoted)\"", "attributes.\"\(quoted)\"", "name"] {
        for relation in ["==", "!=", "=gt="] {
          #expect(try await Self.find("\(field)\(relation)\"\(quoted)\"").status == 200)
        }
      }
    }
  }
}
