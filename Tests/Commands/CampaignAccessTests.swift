import FoundationEssentials
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Who may start campaigns, and what is refused")
struct CampaignAccessTests {
  @Test("roles, and other organisations")
  func access() async throws {
    let (crowd, other) = (try await Crowd(2), try await World())
    try await crowd.world.fixture.tell([])
    let (viewer, operating) = (try await crowd.world.key(.viewer), try await crowd.world.key(.operator))
    let body: JSON = ["target": crowd.toGroup, "type": "REBOOT"]
    #expect(try await crowd.world.ask(.post, "api/v1/commands/bulk", body, key: viewer).status == 403)
    let made = try await crowd.world.ask(.post, "api/v1/commands/bulk", body, key: operating)
    #expect(made.status == 202)
    let path = "api/v1/commands/bulk/\(made.json["id"]?.string ?? "")"
    for read in [path, path + "/commands", "api/v1/commands/bulk"] {
      #expect(try await crowd.world.ask(.get, read, key: viewer).status == 200)
    }
    for change in [path + "/cancel", path + "/retry"] {
      #expect(try await crowd.world.ask(.post, change, key: viewer).status == 403)
    }
    // Another organisation, on the same service.
    let stranger = try await World(on: crowd.world.fixture)
    let key = try await stranger.key(.admin)
    for (method, at) in [
      ("GET", path), ("GET", path + "/commands"), ("POST", path + "/cancel"), ("POST", path + "/retry"),
    ] {
      let answer = try await stranger.ask(method == "GET" ? .get : .post, at, key: key)
      #expect(answer.status == 404)
    }
    #expect(try await stranger.ask(.get, "api/v1/commands/bulk", key: key).json["items"] == [])
    for kind in ["DEVICE_GROUP", "DEVICE_PROFILE", "SENSOR_PROFILE", "DEVICE"] {
      let id = [
        "DEVICE_GROUP": crowd.group, "DEVICE_PROFILE": crowd.world.board, "DEVICE": crowd.devices[0].id,
      ][kind]
      let target: JSON = ["type": .string(kind), "id": .string((id ?? crowd.sensorProfile).text)]
      let answer = try await stranger.ask(
        .post, "api/v1/commands/bulk", ["target": target, "type": "REBOOT"], key: key)
      #expect(answer.status == 404, "\(kind)")
    }
    let named = try await stranger.ask(
      .post, "api/v1/commands/bulk", ["target": ["deviceIds": crowd.ids], "type": "REBOOT"], key: key)
    #expect(named.json["total"] == 0 && named.json["unknown"] == crowd.ids)
    #expect(other.organisation != crowd.world.organisation)
  }

  @Test("bodies and queries that are not right are told where")
  func bad() async throws {
    let crowd = try await Crowd(1)
    let cases: [(JSON, Int, String)] = [
      (["type": "REBOOT"], 422, "/target"),
      (["target": [:], "type": "REBOOT"], 422, "/target"),
      (["target": ["filter": "id==1", "deviceIds": ["a"]], "type": "REBOOT"], 422, "/target"),
      (["target": ["type": "DEVICE_GROUP"], "type": "REBOOT"], 422, "/target/id"),
      (["target": ["type": "GROUP", "id": "a"], "type": "REBOOT"], 422, "/target/type"),
      (["target": ["type": "DEVICE_GROUP", "id": "a"], "type": "REBOOT"], 422, "/target/id"),
      (["target": ["deviceIds": []], "type": "REBOOT"], 422, "/target/deviceIds"),
      (["target": ["deviceIds": ["a", 1]], "type": "REBOOT"], 422, "/target/deviceIds/1"),
      (["target": ["deviceIds": ["a"], "x": 1], "type": "REBOOT"], 422, "/target/x"),
      (["target": crowd.toGroup], 422, "/type"),
      (["target": crowd.toGroup, "type": "REBOOT", "ratePerMinute": 0], 422, "/ratePerMinute"),
      (["target": crowd.toGroup, "type": "REBOOT", "dryRun": "yes"], 422, "/dryRun"),
      (["target": crowd.toGroup, "type": "REBOOT", "colour": 1], 422, "/colour"),
      (["target": crowd.toGroup, "type": "REBOOT", "lane": "a b"], 422, "/lane"),
      (
        ["target": crowd.toGroup, "type": "REBOOT", "timeouts": ["deliverSeconds": 0]], 422,
        "/timeouts/deliverSeconds"
      ),
      (["target": ["filter": "mcuId==a;nothing==1"], "type": "REBOOT"], 400, "/target/filter"),
    ]
    for (body, status, pointer) in cases {
      let answer = try await crowd.world.ask(.post, "api/v1/commands/bulk", body)
      #expect(answer.status == status, "\(pointer): \(answer.json.text.prefix(300))")
      #expect(answer.json["errors"]?.array?.first?["pointer"]?.string == pointer)
    }
    let filter = try await crowd.world.ask(
      .post, "api/v1/commands/bulk", ["target": ["filter": "mcuId==a;nothing==1"], "type": "REBOOT"])
    #expect(filter.json["detail"]?.string?.contains("column 10") == true)
    let made = try await crowd.start(crowd.toGroup)
    let path = "api/v1/commands/bulk/\(made["id"]?.string ?? "")"
    for query in [
      "status=NONE", "limit=0", "limit=1001", "cursor=x", "type=REBOOT", "status=SENT&status=SENT",
    ] {
      #expect(try await crowd.world.ask(.get, path + "/commands?\(query)").status == 400, "\(query)")
    }
    #expect(try await crowd.world.ask(.get, "api/v1/commands/bulk?status=DONE").status == 400)
    #expect(try await crowd.world.ask(.get, "api/v1/commands/bulk/none").status == 404)
    #expect(try await crowd.world.ask(.post, path + "/cancel", ["x": 1]).status == 422)
    let rows = try await crowd.database.query("SELECT count(*) FROM campaign")
    #expect(try rows.first?.decode(Int64.self) == 1)
  }

  @Test(
    "an mcuId of two devices is no name; a list of campaigns has pages, and long lists of names are left out")
  func names() async throws {
    let crowd = try await Crowd(2)
    let twin = DeviceEntity(
      id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: crowd.devices[0].mcuId, soc: "other",
      boardId: crowd.world.board, organisationId: crowd.world.organisation, rev: 1)
    try await crowd.world.fixture.tell([.present(.device(twin))])
    let names: JSON = ["deviceIds": ["x", .string(twin.mcuId)]]
    let answer = try await crowd.world.ask(
      .post, "api/v1/commands/bulk", ["target": names, "type": "REBOOT"])
    #expect(answer.status == 422 && answer.json["errors"]?.array?[0]["pointer"] == "/target/deviceIds/1")
    let many = (0..<150).map { JSON.string("nobody-\($0)") }
    let long = try await crowd.start(["deviceIds": .array(many)])
    #expect(long["unknown"]?.array?.count == 150 && long["target"]?["deviceIds"]?.array?.count == 150)
    for _ in 0..<4 { _ = try await crowd.start(crowd.toGroup) }
    var (ids, cursor): ([String], String?) = ([], nil)
    repeat {
      let page = try await crowd.world.ask(
        .get, "api/v1/commands/bulk?limit=2" + (cursor.map { "&cursor=\($0)" } ?? "")
      ).json
      let items = page["items"]?.array ?? []
      #expect(items.allSatisfy { $0["counts"] != nil && $0["status"] == "RUNNING" })
      ids += items.compactMap { $0["id"]?.string }
      if items.last?["id"] == long["id"] {
        #expect(items.last?["unknown"] == nil && items.last?["target"] == nil)
      }
      cursor = page["nextCursor"]?.string
    } while cursor != nil
    #expect(ids.count == 5 && ids.last == long["id"]?.string && ids == ids.sorted().reversed())
  }

  @Test("one Idempotency-Key makes one campaign, also of two at once and on the other replica")
  func once() async throws {
    let crowd = try await Crowd(3)
    let other = World(crowd.world, on: try await Fixture(url: crowd.world.fixture.url))
    let body: JSON = ["target": crowd.toGroup, "type": "REBOOT"]
    func post(_ world: World, _ body: JSON) async throws -> (status: Int, json: JSON) {
      try await world.ask(.post, "api/v1/commands/bulk", body, ["Idempotency-Key": "k"])
    }
    async let a = post(crowd.world, body)
    async let b = post(other, body)
    let both = try await [a, b]
    let first = try #require(both.first { $0.status == 202 })
    #expect(both.allSatisfy { $0.status == 409 || $0.json == first.json })
    #expect(try await post(other, body).json == first.json)
    #expect(try await post(other, ["target": crowd.toGroup, "type": "OTHER"]).status == 422)
    #expect(try await crowd.world.ask(.get, "api/v1/commands/bulk").json["items"]?.array?.count == 1)
  }
}
