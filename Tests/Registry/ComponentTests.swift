import Foundation
import HTTP
import Testing
import Wire

@testable import RegistryService

@Suite("Sensor profiles and components")
struct ComponentTests {
  private func profile(_ world: World, _ fields: JSONObject = [:]) async throws -> String {
    var body: JSONObject = ["name": "P"]
    for member in fields.members { body[member.name] = member.value }
    return try #require(await world.send("POST", "sensorProfile", body: .object(body)).json["id"]?.string)
  }

  private func device(_ world: World) async throws -> (path: String, made: Answer) {
    let made = await world.send(
      "POST", "device", body: ["boardId": "{board}", "mcuId": .string(UUID.v7().text)])
    return ("device/id/\(try #require(made.json["id"]?.string))", made)
  }

  @Test("a profile is made, read, listed, changed and removed")
  func profiles() async throws {
    let world = try await World.shared()
    let body: JSON = ["name": "IMU", "configSchemas": ["classifier": ["type": "object"], "off": false]]
    let made = await world.send("POST", "sensorProfile", body: body)
    #expect(made.status == 201)
    #expect(
      made.json.object?.members.map(\.name) == [
        "id", "createdAt", "updatedAt", "name", "organisationId", "configSchemas",
      ])
    let path = "sensorProfile/id/\(try #require(made.json["id"]?.string))"
    #expect(await world.send("GET", path, as: "viewer").json == made.json)
    #expect(await world.send("GET", "sensorProfile").json.array?.contains(made.json) == true)
    #expect(await world.send("GET", "sensorProfile", as: "stranger").json == [])
    let changed = await world.send("PUT", path, body: ["configSchemas": .null])
    #expect(changed.json["configSchemas"] == nil && changed.json["name"] == "IMU")
    #expect(changed.rev == 2)
    #expect(await world.send("DELETE", path).status == 204)
  }

  @Test("a component is an upsert on its key")
  func upsert() async throws {
    let world = try await World.shared()
    let (one, two) = (try await profile(world), try await profile(world))
    let (path, device) = try await device(world)
    let list = "\(path)/component"
    let body: JSON = ["key": "imu0", "sensorProfileId": .string(one), "name": "Left"]
    let made = await world.send("PUT", list, body: body, as: "operator")
    #expect(made.status == 201 && made.rev == 1)
    #expect(
      made.json.object?.members.map(\.name) == ["id", "deviceId", "key", "sensorProfileId", "name"])
    #expect(made.json["deviceId"] == device.json["deviceId"])
    let same = await world.send("PUT", list, body: body)
    #expect(same.status == 200 && same.json == made.json && same.rev == 1)
    let moved = await world.send("PUT", list, body: ["key": "imu0", "sensorProfileId": .string(two)])
    #expect(moved.json["id"] == made.json["id"] && moved.json["sensorProfileId"]?.string == two)
    #expect(moved.json["name"] == "Left", "what is left out stays")
    let bare: JSON = ["key": "imu0", "sensorProfileId": .string(two), "name": .null]
    let unnamed = await world.send("PUT", list, body: bare)
    #expect(unnamed.json["name"] == nil && unnamed.rev == 3)
    #expect(
      await world.send("PUT", list, body: ["key": "imu1", "sensorProfileId": .string(one)]).status == 201)
    #expect(
      await world.send("PUT", list, body: ["key": "IMU0", "sensorProfileId": .string(one)]).status == 201)
    let all = await world.send("GET", "\(list)?limit=2", as: "viewer")
    #expect(all.json.array?.compactMap { $0["key"]?.string } == ["imu0", "imu1"])
    #expect(all.headers["X-Total-Count"] == "3" && all.headers["Link"] != nil)
    #expect(await world.send("GET", path).rev == 1, "the device has not changed itself")
    #expect(await world.send("DELETE", "\(list)/imu0", as: "operator").status == 204)
    #expect(await world.send("DELETE", "\(list)/imu0").status == 404)
    #expect(await world.send("GET", list).json.array?.count == 2)
  }

  @Test("If-Match and If-None-Match are about the component")
  func preconditions() async throws {
    let world = try await World.shared()
    let (path, _) = try await device(world)
    let list = "\(path)/component"
    let body: JSON = ["key": "k", "sensorProfileId": "{profile}"]
    #expect(await world.send("PUT", list, body: body, headers: ["If-Match": "*"]).status == 412)
    let made = await world.send("PUT", list, body: body, headers: ["If-None-Match": "*"])
    #expect(made.status == 201)
    #expect(await world.send("PUT", list, body: body, headers: ["If-None-Match": "*"]).status == 412)
    #expect(await world.send("PUT", list, body: body, headers: ["If-Match": made.tag(2)]).status == 412)
    #expect(await world.send("DELETE", "\(list)/k", headers: ["If-Match": made.tag(2)]).status == 412)
    #expect(await world.send("DELETE", "\(list)/k", headers: ["If-Match": made.tag(1)]).status == 204)
  }

  @Test("a profile that is in use stays, and says by whom; a device goes with its components")
  func inUse() async throws {
    let world = try await World.shared()
    let used = try await profile(world)
    let (path, device) = try await device(world)
    let body: JSON = ["key": "modem", "sensorProfileId": .string(used)]
    #expect(await world.send("PUT", "\(path)/component", body: body).status == 201)
    let refused = await world.send("DELETE", "sensorProfile/id/\(used)")
    #expect(refused.status == 409)
    let detail = refused.json["detail"]?.string ?? ""
    #expect(detail.contains("modem of \(device.json["deviceId"]?.string ?? "?")"))
    #expect(await world.send("DELETE", path).status == 204)
    #expect(await world.send("GET", "\(path)/component").status == 404)
    #expect(await world.send("DELETE", "sensorProfile/id/\(used)").status == 204)
    let gone = await world.send("PUT", "device/id/{device}/component", body: body)
    #expect(gone.status == 404 && gone.pointers == ["/sensorProfileId"])
  }

  @Test("another organisation's profile is none, and a device has so many components at most")
  func limits() async throws {
    let world = try await World.shared()
    let made = await world.send(
      "POST", "device", body: ["boardId": "{publicBoard}", "mcuId": .string(UUID.v7().text)], as: "stranger")
    let list = "device/id/\(try #require(made.json["id"]?.string))/component"
    let foreign: JSON = ["key": "k", "sensorProfileId": "{profile}"]
    let hidden = await world.send("PUT", list, body: foreign, as: "stranger")
    #expect(hidden.status == 404 && hidden.pointers == ["/sensorProfileId"])
    let (path, _) = try await device(world)
    let device = try #require(UUID(text: String(path.dropFirst("device/id/".count))))
    let profile = try #require(UUID(text: world.names["profile"] ?? ""))
    try await world.database.query(
      """
      INSERT INTO component (id, device, key, sensor_profile_id, rev)
      SELECT gen_random_uuid(), \(device), 'c' || n, \(profile), 1 FROM generate_series(1, 256) n
      """)
    let body: JSON = ["key": "one-more", "sensorProfileId": "{profile}"]
    #expect(await world.send("PUT", "\(path)/component", body: body).status == 409)
    let known: JSON = ["key": "c7", "sensorProfileId": "{profile}", "name": "seven"]
    #expect(await world.send("PUT", "\(path)/component", body: known).status == 200)
    #expect(await world.send("DELETE", path).status == 204)
  }

  @Test("of many upserts of one key at the same time, one makes it")
  func concurrent() async throws {
    let world = try await World.shared()
    let (path, _) = try await device(world)
    let statuses = await withTaskGroup(of: Int.self, returning: [Int].self) { group in
      for number in 0..<12 {
        group.addTask {
          let body: JSON = ["key": "k", "sensorProfileId": "{profile}", "name": .string("n\(number)")]
          return await world.send("PUT", "\(path)/component", body: body).status
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(statuses.count { $0 == 201 } == 1)
    #expect(statuses.count { $0 == 200 } == 11)
    #expect(await world.send("GET", "\(path)/component").json.array?.count == 1)
  }
}
