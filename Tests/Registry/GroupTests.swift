import Foundation
import HTTP
import Testing
import Wire

@testable import RegistryDomain
@testable import RegistryService

@Suite("Groups")
struct GroupTests {
  static func make(_ world: World, filter: String? = nil, as key: String = "admin") async throws -> String {
    let body = JSON.compact(["name": "G", "query": filter.map { ["filter": .string($0)] }])
    let made = await world.send("POST", "group", body: body, as: key)
    return "group/id/\(try #require(made.json["id"]?.string, "\(made.json.text)"))"
  }

  static func device(_ world: World, _ fields: JSONObject = [:]) async throws -> (
    id: String, deviceId: String
  ) {
    var body: JSONObject = ["boardId": "{board}", "mcuId": .string("g-\(UUID.v7().text)")]
    for member in fields.members { body[member.name] = member.value }
    let made = await world.send("POST", "device", body: .object(body))
    return (try #require(made.json["id"]?.string), try #require(made.json["deviceId"]?.string))
  }

  static func members(_ world: World, _ group: String) async -> Set<String> {
    Set((await world.send("GET", "\(group)/device?limit=1000").json.array ?? []).compactMap(\.string))
  }

  @Test("made, read, listed, changed and removed")
  func life() async throws {
    let world = try await World.shared()
    let made = await world.send("POST", "group", body: ["name": "Hall 4"])
    #expect(made.status == 201)
    #expect(
      made.json.object?.members.map(\.name) == ["id", "createdAt", "updatedAt", "name", "organisationId"])
    let path = "group/id/\(try #require(made.json["id"]?.string))"
    #expect(await world.send("GET", path, as: "viewer").json == made.json)
    #expect(await world.send("GET", "group").json.array?.contains(made.json) == true)
    #expect(await world.send("GET", "group", as: "stranger").json.array?.contains(made.json) == false)
    let changed = await world.send("PUT", path, body: ["name": "Hall 5"], headers: ["If-Match": made.tag(1)])
    #expect(changed.json["name"] == "Hall 5" && changed.rev == 2)
    #expect(await world.send("PUT", path, body: ["name": "Hall 5"]).rev == 2)
    #expect(await world.send("DELETE", path, headers: ["If-Match": made.tag(1)]).status == 412)
    #expect(await world.send("DELETE", path).status == 204)
    #expect(await world.send("GET", path).status == 404)
  }

  @Test("a device is in 256 groups at most; one more is refused and changes nothing")
  func bounded() async throws {
    let world = try await World.shared()
    let device = try await Self.device(world)
    let (mine, id) = (
      try #require(UUID(text: world.names["mine"] ?? "")), try #require(UUID(text: device.id))
    )
    try await world.database.query(
      """
      WITH g AS (
        INSERT INTO device_group (id, organisation_id, created_at, updated_at, name, rev)
        SELECT gen_random_uuid(), \(mine), now(), now(), 'many', 1 FROM generate_series(1, 255) RETURNING id
      )
      INSERT INTO group_member (group_id, device, organisation) SELECT id, \(id), \(mine) FROM g
      """)
    let body: JSON = ["deviceIds": [.string(device.id)]]
    let (last, more) = (try await Self.make(world), try await Self.make(world))
    #expect(await world.send("POST", "\(last)/device", body: body).json == ["added": 1])
    let refused = await world.send("POST", "\(more)/device", body: body)
    #expect(refused.status == 409 && refused.json["detail"]?.string?.contains(device.deviceId) == true)
    #expect(await Self.members(world, more) == [])
    #expect(await world.send("POST", "\(last)/device", body: body).json == ["added": 0])
    try await world.database.query("DELETE FROM device WHERE id = \(id)")
    try await world.database.query("DELETE FROM device_group WHERE name = 'many'")
  }

  @Test("members by record id or deviceId; coming twice and going twice is no fault")
  func list() async throws {
    let world = try await World.shared()
    let group = try await Self.make(world)
    let (a, b, c) = (
      try await Self.device(world), try await Self.device(world), try await Self.device(world)
    )
    func send(_ method: String, _ names: [String], as key: String = "operator") async -> Answer {
      await world.send(
        method, "\(group)/device", body: ["deviceIds": .array(names.map { .string($0) })], as: key)
    }
    #expect(await send("POST", [b.deviceId, a.id, a.deviceId]).json == ["added": 2])
    #expect(await send("POST", [a.id, c.id]).json == ["added": 1])
    #expect(await send("POST", []).json == ["added": 0])
    let page = await world.send("GET", "\(group)/device?limit=2", as: "viewer")
    #expect(page.json == [.string(a.deviceId), .string(b.deviceId)], "in the order of their creation")
    #expect(page.headers["X-Total-Count"] == "3")
    let next = try #require(page.headers["Link"]).dropFirst(2).prefix { $0 != ">" }
    #expect(await world.send("GET", String(next)).json == [.string(c.deviceId)])
    let filtered = await world.send("GET", "device?groupId=\(group.dropFirst("group/id/".count))")
    #expect(filtered.json.array?.count == 3)
    #expect(await send("DELETE", [a.id, a.deviceId]).json == ["removed": 1])
    #expect(await send("DELETE", [a.id]).json == ["removed": 0])
    // A device that goes, goes from its groups.
    #expect(await world.send("DELETE", "device/id/\(b.id)").status == 204)
    #expect(await Self.members(world, group) == [c.deviceId])
    #expect(await world.send("GET", group).rev == 1, "the group has not changed itself")
    #expect(await world.send("GET", "device/id/\(c.id)").rev == 1, "nor has the device")
    #expect(await world.send("DELETE", group).status == 204)
    #expect(await world.send("GET", "device/id/\(c.id)").status == 200)
  }

  @Test("a name that is no device of the organisation is told with its place, and nothing is done")
  func unknown() async throws {
    let world = try await World.shared()
    let group = try await Self.make(world)
    let mine = try await Self.device(world)
    let theirs = await world.send(
      "POST", "device", body: ["boardId": "{publicBoard}", "mcuId": .string(UUID.v7().text)], as: "stranger")
    let names: JSON = [
      .string(mine.id), theirs.json["id"] ?? .null, "{nobody}", "first", theirs.json["deviceId"] ?? .null,
    ]
    for method in ["POST", "DELETE"] {
      let answer = await world.send(method, "\(group)/device", body: ["deviceIds": names])
      #expect(answer.status == 422)
      #expect(answer.pointers == (1...4).map { "/deviceIds/\($0)" }, "an mcuId names no member")
    }
    #expect(await Self.members(world, group).isEmpty)
  }

  @Test("a group has a query or members of its own; without its query the members stay")
  func eitherOr() async throws {
    let world = try await World.shared()
    let device = try await Self.device(world, ["metadata": ["either": "or"]])
    let group = try await Self.make(world)
    let body: JSON = ["deviceIds": [.string(device.id)]]
    let query: JSON = ["query": ["filter": "metadata.either==or"]]
    #expect(await world.send("POST", "\(group)/device", body: body).status == 200)
    #expect(await world.send("PUT", group, body: query).status == 409)
    #expect(await world.send("PUT", "\(group)?dryRun=true", body: query).status == 409)
    #expect(await world.send("PUT", "\(group)?limit=1", body: query).status == 400)
    #expect(await world.send("DELETE", "\(group)/device", body: body).status == 200)
    let changed = await world.send("PUT", group, body: query)
    #expect(changed.json["query"] == ["filter": "metadata.either==or"])
    #expect(await Self.members(world, group) == [device.deviceId])
    for method in ["POST", "DELETE"] {
      #expect(await world.send(method, "\(group)/device", body: body).status == 409)
    }
    let kept = await world.send("PUT", group, body: ["query": .null])
    #expect(kept.json["query"] == nil)
    #expect(await world.send("PATCH", "device/id/\(device.id)", body: ["metadata": .null]).status == 200)
    #expect(await Self.members(world, group) == [device.deviceId])
    #expect(await world.send("DELETE", "\(group)/device", body: body).json == ["removed": 1])
  }

  @Test(
    "a query that cannot be read, or that asks for what moves by the minute, is 400 and says why",
    arguments: [
      ("soc==", nil), ("nonsense", nil), ("unknown==1", nil), ("online==true", "online"),
      ("soc==x;attributes.battery=gt=3", "attributes"),
      ("groupId==019a0000-0000-7000-8000-000000000000", "group"),
      ("lastSeenAt=gt=2026-01-01T00:00:00Z", "lastSeenAt"),
    ] as [(String, String?)])
  func badQueries(_ filter: String, _ reason: String?) async throws {
    let world = try await World.shared()
    let query: JSON = ["name": "G", "query": ["filter": .string(filter)]]
    for (method, path) in [
      ("POST", "group"), ("PUT", "group/id/{group}"), ("PUT", "group/id/{group}?dryRun=true"),
    ] {
      let answer = await world.send(method, path, body: query)
      #expect(answer.status == 400)
      #expect(answer.pointers == ["/query/filter"])
      if let reason {
        #expect(answer.json["detail"]?.string?.contains(reason) == true, "\(answer.json.text)")
      }
    }
  }
}
