import Foundation
import HTTP
import TestSupport
import Testing
import Wire

@testable import RegistryService

@Suite("Organisations, boards and devices")
struct DeviceTests {
  /// A board of its own for a test.
  static func board(_ world: World, _ fields: JSONObject = [:]) async throws -> String {
    var body: JSONObject = ["name": "B", "soc": .string("soc-\(UUID.v7().text)")]
    for member in fields.members { body[member.name] = member.value }
    let answer = await world.send("POST", "board", body: .object(body))
    return try #require(answer.json["id"]?.string)
  }

  @Test("the common flow, and every look-up gives the same device")
  func flow() async throws {
    let world = try await World.shared()
    let body: JSON = [
      "mcuId": "AA:BB-1", "boardId": "{publicBoard}", "organisationId": "{mine}", "metadata": ["site": "x/y"],
      "name": "Pump", "initialDeviceState": ["applicationId": 7],
    ]
    let made = await world.send("POST", "device", body: body, as: "operator")
    #expect(made.status == 201)
    #expect(made.headers["ETag"] == "\"1\"")
    let device = try #require(made.json.object)
    #expect(
      device.members.map(\.name)
        == [
          "id", "createdAt", "updatedAt", "mcuId", "boardId", "organisationId", "deviceId", "metadata",
          "name",
        ])
    let (id, deviceId) = (try #require(device["id"]?.string), try #require(device["deviceId"]?.string))
    #expect(Identifier.isDeviceId(deviceId))
    for path in [
      "device/id/\(id)", "device/id/\(deviceId)", "device/id/AA:BB-1", "device/deviceId/\(deviceId)",
      "device/soc/esp32/mcuId/AA:BB-1", "device/id/\(id.uppercased())",
    ] {
      #expect(await world.send("GET", path, as: "viewer").json == made.json, "\(path)")
    }
    let state = await world.send("GET", "device/id/\(id)/state", as: "viewer")
    #expect(state.json["applicationId"] == 7)
    #expect(await world.send("GET", "device/deviceId/\(deviceId)/state", as: "viewer").json == state.json)
    #expect(await world.send("DELETE", "device/id/\(id)", as: "operator").status == 204)
    for path in ["device/id/\(id)", "device/id/\(id)/state", "device/deviceId/\(deviceId)"] {
      #expect(await world.send("GET", path).status == 404)
    }
  }

  @Test("what is taken is 409: deviceId, and mcuId with the same SoC")
  func taken() async throws {
    let world = try await World.shared()
    let (one, two) = (try await Self.board(world), try await Self.board(world))
    func make(_ board: String, _ mcuId: String, _ deviceId: String? = nil) async -> Answer {
      let body = JSON.compact([
        "boardId": .string(board), "mcuId": .string(mcuId), "deviceId": deviceId.map { .string($0) },
      ])
      return await world.send("POST", "device", body: body)
    }
    let first = await make(one, "twin", "00000000000000aa")
    #expect(first.status == 201)
    #expect(await make(one, "twin").pointers == ["/mcuId"])
    #expect(await make(two, "other", "00000000000000aa").pointers == ["/deviceId"])
    // The same mcuId on another SoC is another device; then the mcuId alone does not say which.
    let second = await make(two, "twin")
    #expect(second.status == 201)
    let both = await world.send("GET", "device/id/twin")
    #expect(both.status == 409)
    for device in [first, second] {
      #expect(both.json["detail"]?.string?.contains(device.json["deviceId"]?.string ?? "?") == true)
    }
    #expect(await world.send("GET", "device/id/twin", as: "stranger").status == 404)
  }

  @Test("a read of what is known is 304, a change that shall only create is 412")
  func ifNoneMatch() async throws {
    let world = try await World.shared()
    let made = await world.send("POST", "device", body: ["boardId": "{board}", "mcuId": "none-match"])
    let path = "device/id/\(made.json["id"]?.string ?? "")"
    let tag = try #require(made.headers["ETag"])
    let known = await world.send("GET", path, headers: ["If-None-Match": "\"x\", W/\(tag)"])
    #expect(known.status == 304 && known.json == .null && known.headers["ETag"] == tag)
    #expect(await world.send("GET", path, headers: ["If-None-Match": "\"x\""]).status == 200)
    #expect(await world.send("PUT", path, body: [:], headers: ["If-None-Match": "*"]).status == 412)
    #expect(await world.send("PUT", path, body: [:], headers: ["If-Match": "W/\(tag)"]).status == 412)
    #expect(await world.send("PUT", path, body: [:], headers: ["If-Match": "nonsense"]).status == 400)
  }

  @Test("If-Match keeps a change from being lost")
  func ifMatch() async throws {
    let world = try await World.shared()
    let board = try await Self.board(world)
    let made = await world.send("POST", "device", body: ["boardId": .string(board), "mcuId": "etag"])
    let path = "device/id/\(try #require(made.json["id"]?.string))"
    let changed = await world.send("PUT", path, body: ["name": "a"], headers: ["If-Match": "\"1\""])
    #expect(changed.headers["ETag"] == "\"2\"")
    for method in ["PUT", "PATCH", "DELETE"] {
      #expect(
        await world.send(method, path, body: [:], headers: ["If-Match": "\"1\""]).status == 412, "\(method)")
    }
    #expect(
      await world.send("PATCH", path, body: ["name": .null], headers: ["If-Match": "\"1\", \"2\""]).status
        == 200)
    #expect(await world.send("DELETE", path, headers: ["If-Match": "*"]).status == 204)
  }

  @Test("a board's metadata fields are enforced, on creation and on every change")
  func metadata() async throws {
    let world = try await World.shared()
    let board = try await Self.board(
      world,
      [
        "metadataFields": [
          ["name": "serial", "required": true, "unique": true], ["name": "a/b", "required": true],
        ]
      ])
    func body(_ mcuId: String, _ metadata: JSON) -> JSON {
      ["boardId": .string(board), "mcuId": .string(mcuId), "metadata": metadata]
    }
    let missing = await world.send("POST", "device", body: body("m1", [:]))
    #expect(missing.pointers == ["/metadata/serial", "/metadata/a~1b"])
    #expect(await world.send("POST", "device", body: body("m1", ["serial": "1", "a/b": "x"])).status == 201)
    let same = await world.send("POST", "device", body: body("m2", ["serial": "1", "a/b": "x"]))
    #expect(same.status == 422)
    #expect(same.pointers == ["/metadata/serial"])
    let second = await world.send(
      "POST", "device", body: body("m2", ["serial": "2", "a/b": "x", "free": "y"]))
    let path = "device/id/\(try #require(second.json["id"]?.string))"
    for (method, change) in [
      ("PUT", ["metadata": ["operation": "patch", "value": ["serial": "1"]]]),
      ("PATCH", ["metadata": ["serial": "1"]]),
      ("PUT", ["metadata": ["operation": "replace", "value": ["a/b": "x"]]]),
      ("PATCH", ["metadata": ["serial": .null]]),
    ] as [(String, JSON)] {
      #expect(await world.send(method, path, body: change).pointers == ["/metadata/serial"], "\(method)")
    }
    let many = (0...100).reduce(into: JSONObject()) { $0["field\($1)"] = "x" }
    #expect(await world.send("PATCH", path, body: ["metadata": .object(many)]).pointers == ["/metadata"])
    #expect(
      await world.send("PATCH", path, body: ["metadata": ["serial": "2", "free": .null]]).status == 200)
    #expect(await world.send("PATCH", path, body: ["metadata": ["serial": "3"]]).status == 200)
    #expect(
      await world.send("POST", "device", body: body("m3", ["serial": "2", "a/b": "x"])).status == 201,
      "free again")
  }

  @Test("of many that want one value at the same time, one gets it")
  func uniqueUnderConcurrency() async throws {
    let world = try await World.shared()
    let board = try await Self.board(world, ["metadataFields": [["name": "serial", "unique": true]]])
    let statuses = await withTaskGroup(of: Int.self, returning: [Int].self) { group in
      for number in 0..<12 {
        group.addTask {
          await world.send(
            "POST", "device",
            body: ["boardId": .string(board), "mcuId": .string("c\(number)"), "metadata": ["serial": "same"]]
          ).status
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(statuses.count { $0 == 201 } == 1)
    #expect(statuses.count { $0 == 422 } == 11)
  }

  @Test("a board in use keeps its SoC and stays; a field becomes unique only if its values are")
  func boards() async throws {
    let world = try await World.shared()
    let board = try await Self.board(world)
    for mcuId in ["b1", "b2"] {
      let body: JSON = [
        "boardId": .string(board), "mcuId": .string(mcuId),
        "metadata": ["site": "x", "serial": .string(mcuId)],
      ]
      #expect(await world.send("POST", "device", body: body).status == 201)
    }
    #expect(await world.send("PUT", "board/id/\(board)", body: ["soc": "other"]).pointers == ["/soc"])
    #expect(await world.send("DELETE", "board/id/\(board)").status == 409)
    func unique(_ name: String) async -> Answer {
      await world.send(
        "PUT", "board/id/\(board)", body: ["metadataFields": [["name": .string(name), "unique": true]]])
    }
    #expect(await unique("site").status == 409)
    let changed = await unique("serial")
    #expect(changed.status == 200)
    #expect(changed.json["name"] == "B", "what is left out stays")
    let late: JSON = ["boardId": .string(board), "mcuId": "b3", "metadata": ["serial": "b1"]]
    #expect(await world.send("POST", "device", body: late).pointers == ["/metadata/serial"])
    #expect(await world.send("PUT", "board/id/\(board)", body: ["metadataFields": []]).status == 200)
    #expect(await world.send("POST", "device", body: late).status == 201)
  }

  @Test("an organisation goes with its keys, but not while it has anything else")
  func organisation() async throws {
    let world = try await World.shared()
    let made = await world.send("POST", "organisation", body: ["name": "Short Lived"], as: "root")
    #expect(made.json["slug"] == "short-lived")
    #expect(
      await world.send("POST", "organisation", body: ["name": "Short, lived"], as: "root").pointers == [
        "/slug"
      ])
    let id = try #require(made.json["id"]?.string)
    let key = await world.send(
      "POST", "apiKey", body: ["organisationId": .string(id), "name": "a", "role": "admin"], as: "root")
    let admin = try #require(key.json["key"]?.string)
    let board = await world.send("POST", "board", body: ["name": "b", "soc": "s"], as: admin)
    #expect(await world.send("DELETE", "organisation/id/\(id)", as: admin).status == 409)
    #expect(
      await world.send("DELETE", "board/id/\(try #require(board.json["id"]?.string))", as: admin).status
        == 204)
    let renamed = await world.send("PUT", "organisation/id/\(id)", body: ["name": "Renamed"], as: admin)
    #expect(renamed.json["slug"] == "short-lived")
    #expect(await world.send("GET", "organisation/name/Renamed", as: "root").json == renamed.json)
    #expect(await world.send("DELETE", "organisation/id/\(id)", as: admin).status == 204)
    #expect(await world.send("GET", "organisation/id/\(id)", as: "root").status == 404)
  }
}
