import Foundation
import HTTP
import Postgres
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
    #expect(made.rev == 1)
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
      "device/soc/esp32/mcuId/AA:BB-1",
    ] {
      #expect(await world.send("GET", path, as: "viewer").json == made.json, "\(path)")
    }
    #expect(await world.send("GET", "device/id/\(id.uppercased())").status == 404, "exactly as written")
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
    let changed = await world.send("PUT", path, body: ["name": "a"], headers: ["If-Match": made.tag(1)])
    #expect(changed.rev == 2)
    for method in ["PUT", "PATCH", "DELETE"] {
      #expect(
        await world.send(method, path, body: [:], headers: ["If-Match": made.tag(1)]).status == 412,
        "\(method)")
    }
    #expect(
      await world.send(
        "PATCH", path, body: ["name": .null], headers: ["If-Match": "\(made.tag(1)), \(made.tag(2))"]
      ).status
        == 200)
    #expect(await world.send("DELETE", path, headers: ["If-Match": "*"]).status == 204)
    // Registered again it is another device: what was known of the old one must not change or delete it.
    let again = await world.send(
      "POST", "device",
      body: ["boardId": .string(board), "mcuId": "etag", "deviceId": made.json["deviceId"] ?? .null])
    #expect(again.status == 201 && again.rev == 1 && again.headers["ETag"] != made.headers["ETag"])
    let name = "device/id/\(again.json["deviceId"]?.string ?? "")"
    #expect(await world.send("DELETE", name, headers: ["If-Match": made.tag(1)]).status == 412)
    #expect(await world.send("GET", name, headers: ["If-None-Match": made.tag(1)]).status == 200)
    #expect(await world.send("DELETE", name, headers: ["If-Match": again.tag(1)]).status == 204)
  }

  @Test("with a device its state and its metadata go, and another may have its names")
  func goesWhole() async throws {
    let world = try await World.shared()
    let name = Identifier.randomDeviceId()
    let body: JSON = [
      "boardId": "{board}", "mcuId": .string("whole-\(name)"), "deviceId": .string(name),
      "metadata": ["site": "hall 3"],
    ]
    for _ in 0..<2 {
      let made = await world.send("POST", "device", body: body)
      #expect(made.status == 201)
      let id = UUID(uuidString: made.json["id"]?.string ?? "")
      let left: PostgresQuery = """
        SELECT ARRAY[(SELECT count(*) FROM device_state WHERE device_id = \(name)),
          (SELECT count(*) FROM device_metadata WHERE device = \(id))]
        """
      #expect(try await world.database.query(left).first?.decode([Int64].self) == [1, 1])
      #expect(await world.send("DELETE", "device/id/\(name)").status == 204)
      #expect(try await world.database.query(left).first?.decode([Int64].self) == [0, 0])
    }
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
    let used = await world.send("DELETE", "board/id/\(board)")
    #expect(used.status == 409)
    let device = await world.send("GET", "board/id/\(board)/devices").json.array?.first?["deviceId"]?.string
    #expect(used.json["detail"]?.string?.contains(try #require(device)) == true)
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

  @Test("how long commands may take is the board's to say, and null takes it back")
  func commandTimeouts() async throws {
    let world = try await World.shared()
    let timeouts: JSON = ["deliverSeconds": 2_592_000, "completeSeconds": 1]
    let board = try await Self.board(world, ["commandTimeouts": timeouts])
    let path = "board/id/\(board)"
    #expect(await world.send("GET", path).json["commandTimeouts"] == timeouts)
    #expect(await world.send("PUT", path, body: ["name": "x"]).json["commandTimeouts"] == timeouts)
    let other = await world.send("PUT", path, body: ["commandTimeouts": ["acknowledgeSeconds": 5]])
    #expect(other.json["commandTimeouts"] == ["acknowledgeSeconds": 5])
    #expect(await world.send("PUT", path, body: ["commandTimeouts": .null]).json["commandTimeouts"] == nil)
  }

  @Test("slugs: the clash is told, and a rename keeps it")
  func slugs() async throws {
    let world = try await World.shared()
    let mark = String(UUID.v7().text.suffix(12))
    let made = await world.send("POST", "organisation", body: ["name": .string("Planet \(mark)")], as: "root")
    #expect(made.json["slug"]?.string == "planet-\(mark)")
    let clash = await world.send(
      "POST", "organisation", body: ["name": .string("Planet+ \(mark)")], as: "root")
    #expect(clash.status == 409 && clash.pointers == ["/slug"])
    let path = "organisation/id/\(made.json["id"]?.string ?? "")"
    let renamed = await world.send("PUT", path, body: ["name": "Else"], as: "root")
    #expect(renamed.json["slug"] == made.json["slug"])
    let bad = await world.send("POST", "organisation", body: ["name": "x", "slug": "My Slug"], as: "root")
    #expect(bad.status == 422 && bad.pointers == ["/slug"])
    // 202 where Kafka takes its time.
    #expect([202, 204].contains(await world.send("DELETE", path, as: "root").status))
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
    let things: [(String, JSON)] = [
      ("board", ["name": "used-1", "soc": "s"]),
      ("network", ["name": "used-2", "key": "00", "networkId": 1]), ("sensorProfile", ["name": "used-3"]),
      ("group", ["name": "used-4"]),
    ]
    for (path, body) in things {
      let made = await world.send("POST", path, body: body, as: admin)
      let used = await world.send("DELETE", "organisation/id/\(id)", as: admin)
      #expect(used.status == 409)
      #expect(used.json["detail"]?.string?.contains(body["name"]?.string ?? "?") == true, "\(path)")
      #expect(
        await world.send("DELETE", "\(path)/id/\(made.json["id"]?.string ?? "")", as: admin).status == 204)
    }
    let renamed = await world.send("PUT", "organisation/id/\(id)", body: ["name": "Renamed"], as: admin)
    #expect(renamed.json["slug"] == "short-lived")
    #expect(await world.send("GET", "organisation/name/Renamed", as: "root").json == renamed.json)
    #expect(await world.send("DELETE", "organisation/id/\(id)", as: admin).status == 204)
    #expect(await world.send("GET", "organisation/id/\(id)", as: "root").status == 404)
  }
}
