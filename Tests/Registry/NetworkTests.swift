import Foundation
import HTTP
import Testing
import Wire

@testable import RegistryService

@Suite("Networks")
struct NetworkTests {
  private func make(_ world: World, _ fields: JSONObject = [:]) async throws -> String {
    var body: JSONObject = ["name": "N", "key": "00", "networkId": 7]
    for member in fields.members { body[member.name] = member.value }
    return try #require(await world.send("POST", "network", body: .object(body)).json["id"]?.string)
  }

  @Test("made, read, changed and removed, in the contract's shape")
  func life() async throws {
    let world = try await World.shared()
    let body: JSON = [
      "name": "Plant", "description": "d", "key": "00FFaa", "networkId": 4_294_967_295,
      "organisationId": "{mine}",
    ]
    let made = await world.send("POST", "network", body: body, as: "root")
    #expect(made.status == 201)
    #expect(made.rev == 1)
    #expect(
      made.json.object?.members.map(\.name) == [
        "id", "createdAt", "updatedAt", "name", "description", "key", "networkId", "organisationId", "public",
      ])
    #expect(made.json["key"] == "00FFaa", "as it was written")
    let path = "network/id/\(try #require(made.json["id"]?.string))"
    #expect(await world.send("GET", path, as: "viewer").json == made.json)
    let same = await world.send("PUT", path, body: ["name": "Plant"])
    #expect(same.json == made.json && same.rev == 1, "nothing has changed")
    let changed = await world.send("PUT", path, body: ["key": "01"], headers: ["If-Match": made.tag(1)])
    #expect(changed.status == 200 && changed.json["key"] == "01" && changed.json["description"] == "d")
    #expect(
      await world.send("PUT", path, body: ["key": "02"], headers: ["If-Match": made.tag(1)]).status == 412)
    #expect(await world.send("DELETE", path, headers: ["If-Match": made.tag(1)]).status == 412)
    #expect(await world.send("DELETE", path).status == 204)
    #expect(await world.send("GET", path).status == 404)
  }

  @Test("a device has a network, another one, and none; it is found by it")
  func devices() async throws {
    let world = try await World.shared()
    let (one, two) = (try await make(world), try await make(world))
    let made = await world.send(
      "POST", "device", body: ["boardId": "{board}", "mcuId": "net-1", "networkId": .string(one)])
    #expect(made.json["networkId"]?.string == one)
    let path = "device/id/\(try #require(made.json["id"]?.string))"
    let device = "device?networkId=\(one)"
    #expect(ListTests.names(await world.send("GET", device)) == ["net-1"])
    #expect(ListTests.names(await world.send("GET", "\(device)&boardId={board}&q=net")) == ["net-1"])
    let put = await world.send("PUT", path, body: ["networkId": .string(two)])
    #expect(put.json["networkId"]?.string == two)
    #expect(await world.send("GET", device).json == [])
    #expect(await world.send("GET", "device?networkId=\(two)", as: "stranger").json == [])
    #expect(await world.send("PUT", path, body: ["networkId": .null]).json["networkId"] == nil)
    #expect(
      await world.send("PATCH", path, body: ["networkId": .string(one)]).json["networkId"]?.string == one)
    let used = await world.send("DELETE", "network/id/\(one)")
    #expect(used.status == 409)
    #expect(used.json["detail"]?.string?.contains(made.json["deviceId"]?.string ?? "?") == true)
    #expect(await world.send("PATCH", path, body: ["networkId": .null]).json["networkId"] == nil)
    #expect(await world.send("DELETE", "network/id/\(one)").status == 204)
    for body in [["networkId": .string(one)], ["networkId": "{nobody}"]] as [JSON] {
      let unknown = await world.send("PATCH", path, body: body)
      #expect(unknown.status == 404 && unknown.pointers == ["/networkId"])
    }
  }

  @Test("a public network may be used by others, but not changed, and not hidden from them")
  func open() async throws {
    let world = try await World.shared()
    let made = await world.send(
      "POST", "device",
      body: ["boardId": "{publicBoard}", "mcuId": "net-abroad", "networkId": "{publicNetwork}"],
      as: "stranger")
    #expect(made.status == 201)
    let path = "network/id/{publicNetwork}"
    #expect(await world.send("GET", path, as: "stranger").status == 200)
    #expect(await world.send("PUT", path, body: ["name": "x"], as: "stranger").status == 403)
    #expect(await world.send("DELETE", path, as: "stranger").status == 403)
    let hidden = await world.send("PUT", path, body: ["public": false])
    #expect(hidden.status == 409 && hidden.pointers == ["/public"])
    let used = await world.send("DELETE", path)
    #expect(used.status == 409)
    let detail = try #require(used.json["detail"]?.string)
    #expect(detail.contains("other organisations"))
    #expect(!detail.contains(made.json["deviceId"]?.string ?? ""), "whose they are is not theirs to know")
    #expect(
      await world.send("PATCH", "device/id/net-abroad", body: ["networkId": .null], as: "stranger").status
        == 200)
  }
}
