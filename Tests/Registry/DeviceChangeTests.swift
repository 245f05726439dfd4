import Foundation
import HTTP
import Testing
import Wire

@testable import RegistryService

@Suite("Changes of devices")
struct DeviceChangeTests {
  private func device(_ world: World, _ fields: JSONObject = [:]) async throws -> (path: String, made: Answer)
  {
    var body: JSONObject = ["boardId": "{board}", "mcuId": .string("c-\(UUID.v7().text)")]
    for member in fields.members { body[member.name] = member.value }
    let made = await world.send("POST", "device", body: .object(body))
    return ("device/id/\(try #require(made.json["id"]?.string))", made)
  }

  @Test("the mcuId may change, if it is free; then the device is found by it", arguments: ["PUT", "PATCH"])
  func mcuId(_ method: String) async throws {
    let world = try await World.shared()
    let (path, made) = try await device(world)
    let name = "new-\(UUID.v7().text)"
    let changed = await world.send(method, path, body: ["mcuId": .string(name)])
    #expect(changed.status == 200 && changed.json["mcuId"]?.string == name)
    #expect(await world.send("GET", "device/soc/nrf52/mcuId/\(name)").json == changed.json)
    #expect(
      await world.send("GET", "device/soc/nrf52/mcuId/\(made.json["mcuId"]?.string ?? "")").status == 404)
    let taken = await world.send(method, path, body: ["mcuId": "first"])
    #expect(taken.status == 409 && taken.pointers == ["/mcuId"])
    #expect(await world.send("GET", path).json == changed.json)
  }

  @Test("with another board its rules hold, and its SoC", arguments: ["PUT", "PATCH"])
  func board(_ method: String) async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(
      world, ["metadataFields": [["name": "serial", "required": true, "unique": true]]])
    let (_, first) = try await device(world, ["boardId": .string(board), "metadata": ["serial": "1"]])
    #expect(first.status == 201)
    let (path, _) = try await device(world)
    #expect(
      await world.send(method, path, body: ["boardId": .string(board)]).pointers == ["/metadata/serial"])
    func metadata(_ serial: String) -> JSON {
      let fields: JSON = ["serial": .string(serial)]
      let change: JSON = method == "PUT" ? ["operation": "patch", "value": fields] : fields
      return ["boardId": .string(board), "metadata": change]
    }
    #expect(await world.send(method, path, body: metadata("1")).pointers == ["/metadata/serial"])
    let moved = await world.send(method, path, body: metadata("2"))
    #expect(moved.status == 200 && moved.json["boardId"]?.string == board)
    let soc = await world.send("GET", "board/id/\(board)").json["soc"]?.string ?? ""
    let mcuId = moved.json["mcuId"]?.string ?? ""
    #expect(await world.send("GET", "device/soc/\(soc)/mcuId/\(mcuId)").json == moved.json)
    let late = await world.send(
      "POST", "device", body: ["boardId": .string(board), "mcuId": "late", "metadata": ["serial": "2"]])
    #expect(late.pointers == ["/metadata/serial"], "its values count on the new board")
    // Back again, its value is free there.
    #expect(await world.send(method, path, body: ["boardId": "{board}"]).status == 200)
    let again = await world.send(
      "POST", "device", body: ["boardId": .string(board), "mcuId": "late", "metadata": ["serial": "2"]])
    #expect(again.status == 201)
    for body in [["boardId": "{nobody}"]] as [JSON] {
      #expect(await world.send(method, path, body: body).pointers == ["/boardId"])
    }
  }

  @Test("another board whose SoC has that mcuId already is 409")
  func boardTaken() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let (path, made) = try await device(world)
    let twin: JSON = ["boardId": .string(board), "mcuId": made.json["mcuId"] ?? .null]
    #expect(await world.send("POST", "device", body: twin).status == 201)
    let moved = await world.send("PATCH", path, body: ["boardId": .string(board)])
    #expect(moved.status == 409 && moved.pointers == ["/mcuId"])
  }

  @Test("null in a patch removes, siblings stay, and twice is the same as once")
  func nulls() async throws {
    let world = try await World.shared()
    let (path, made) = try await device(
      world, ["name": "n", "metadata": ["site": "A", "rack": "3"], "networkId": "{network}"])
    let nothing: JSON = ["metadata": ["operation": "patch", "value": ["nope": .null]]]
    for _ in 0..<2 {
      let answer = await world.send("PUT", path, body: nothing)
      #expect(answer.json == made.json && answer.rev == 1)
    }
    #expect(await world.send("PATCH", path, body: [:]).json == made.json)
    #expect(await world.send("PATCH", path, body: made.json).json == made.json)
    for type in ["application/json", "application/merge-patch+json", "application/json; charset=utf-8"] {
      let answer = await world.send(
        "PATCH", path, body: ["metadata": ["rack": .null]], headers: ["Content-Type": type])
      #expect(answer.json["metadata"] == ["site": "A"])
      #expect(answer.rev == 2, "\(type)")
    }
    let plain = await world.send("PATCH", path, body: ["name": "x"], headers: ["Content-Type": "text/plain"])
    #expect(plain.status == 415)
    for name in ["name", "networkId"] {
      let removed = await world.send("PATCH", path, body: .object([name: .null]))
      #expect(removed.status == 200 && removed.json.object?.members.contains { $0.name == name } == false)
    }
    #expect(await world.send("PATCH", path, body: ["metadata": .null]).json["metadata"] == [:])
    #expect(await world.send("GET", path).json["metadata"] == [:])
  }

  @Test("If-Match in all its forms is never passed over")
  func ifMatch() async throws {
    let world = try await World.shared()
    let (path, made) = try await device(world)
    var number = 0
    func put(_ headers: HTTPFields) async -> Answer {
      number += 1
      return await world.send("PUT", path, body: ["name": .string("n\(number)")], headers: headers)
    }
    #expect(await put(["If-Match": made.tag(1)]).rev == 2)
    #expect(await put(["If-Match": "\"old\", \(made.tag(2))"]).status == 200)
    #expect(await put(["If-Match": "\"old\"", "if-match": made.tag(3)]).status == 200)
    #expect(await put(["If-Match": "*"]).rev == 5)
    let weak = await put(["If-Match": "W/\(made.tag(5))"])
    #expect(weak.status == 412 && weak.json["detail"]?.string?.contains("weak") == true)
    #expect(await put(["If-Match": made.tag(4)]).status == 412)
    #expect(await put(["If-Match": "\"\""]).status == 412)
    for odd in ["5", "", "\"5", "5\"", "W/5", "* \"5\"", String(repeating: "x", count: 9000)] {
      #expect(await put(["If-Match": odd]).status == 400, "\(odd.prefix(10))")
    }
    let long = Array(repeating: "\"x\"", count: 2000).joined(separator: ",")
    #expect(await put(["If-Match": long]).status == 412)
    #expect(await put(["If-Match": long + "," + made.tag(5)]).status == 200)
    #expect(await world.send("DELETE", path, headers: ["If-Match": made.tag(5)]).status == 412)
    #expect(await world.send("GET", path).rev == 6)
    #expect(await world.send("PUT", "device/id/none", body: [:], headers: ["If-Match": "*"]).status == 404)
  }

  @Test("an empty value counts as none for what is required, and is not compared")
  func emptyValues() async throws {
    let world = try await World.shared()
    let fields: JSON = [["name": "serial", "unique": true], ["name": "site", "required": true]]
    let board = try await DeviceTests.board(world, ["metadataFields": fields])
    func make(_ metadata: JSON) async -> Answer {
      await world.send(
        "POST", "device",
        body: ["boardId": .string(board), "mcuId": .string(UUID.v7().text), "metadata": metadata])
    }
    #expect(await make(["site": ""]).pointers == ["/metadata/site"])
    for _ in 0..<2 { #expect(await make(["site": "x", "serial": ""]).status == 201) }
    #expect(await make(["site": "x", "serial": " "]).status == 201)
    #expect(await make(["site": "x", "serial": " "]).pointers == ["/metadata/serial"])
    // Also when the field becomes unique later.
    let path = "board/id/\(board)"
    let site: JSON = ["metadataFields": [["name": "site", "required": true]]]
    #expect(await world.send("PUT", path, body: site).status == 200)
    #expect(await world.send("PUT", path, body: ["metadataFields": fields]).status == 200)
    let empty = await world.send("GET", "\(path)/devices?metadataName=serial&metadataValue=")
    #expect(empty.json.array?.count == 2)
  }

  @Test("two spellings of é are two fields, each with its own rule")
  func spellings() async throws {
    let world = try await World.shared()
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}")
    let board = try await DeviceTests.board(
      world,
      ["metadataFields": [["name": .string(composed), "required": true], ["name": .string(decomposed)]]])
    func make(_ metadata: JSONObject) async -> Answer {
      await world.send(
        "POST", "device",
        body: ["boardId": .string(board), "mcuId": .string(UUID.v7().text), "metadata": .object(metadata)])
    }
    #expect(await make([decomposed: "1"]).status == 422)
    let made = await make([composed: "1", decomposed: "2"])
    #expect(made.json["metadata"]?.object?.members.count == 2)
    let path = "device/id/\(try #require(made.json["id"]?.string))"
    let one = await world.send("PATCH", path, body: ["metadata": .object([decomposed: .null])])
    #expect(one.json["metadata"] == .object([composed: "1"]))
    #expect(await world.send("PATCH", path, body: ["metadata": .object([composed: .null])]).status == 422)
    let name = await world.send("PATCH", path, body: ["name": "\u{e9}"])
    let other = await world.send("PATCH", path, body: ["name": "e\u{301}"])
    #expect(name.headers["ETag"] != other.headers["ETag"] && other.json["name"] == "e\u{301}")
  }
}
