import Crypto
import Foundation
import HTTP
import TestSupport
import Testing
import Wire

@testable import ConfigService

/// What may be uploaded, and by whom.
@Suite struct UploadRuleTests {
  private let path = "\(ObjectWorld.path)/upload-url"

  @Test func whatDoesNotFitIsRefusedWithItsPointer() async throws {
    try await ObjectWorld.run(.embedded, ["--object-maximum-bytes", "1000"]) { store in
      func with(_ name: String, _ value: JSON) -> JSON {
        var draft = store.draft([1]).object ?? JSONObject()
        draft[name] = value
        return .object(draft)
      }
      let cases: [(JSON, [String])] = [
        ([:], ["/slot", "/profile", "/size", "/sha256", "/contentType"]), (with("size", 0), ["/size"]),
        (with("size", 1001), ["/size"]), (with("size", "1"), ["/size"]),
        (with("size", .double(1.5)), ["/size"]),
        (with("sha256", "abc"), ["/sha256"]),
        (with("sha256", .string(String(repeating: "g", count: 64))), ["/sha256"]),
        (with("contentType", "text"), ["/contentType"]),
        (with("contentType", "a/b\r\nX: y"), ["/contentType"]),
        (with("contentType", "é/b"), ["/contentType"]), (with("contentType", "a/b; x=  y"), ["/contentType"]),
        (with("content", 1), ["/content"]),
        (with("profile", ["type": "DEVICE_PROFILE", "id": .string(UUID().text)]), ["/profile/id"]),
        (
          with("profile", ["type": "DEVICE_PROFILE", "id": .string(store.world.theirBoard.text)]),
          ["/profile/id"]
        ),
        ([], [""]),
      ]
      for (body, pointers) in cases {
        let answer = try await store.world.ask(.post, path, body)
        #expect(answer.status == 422, "\(body.text)")
        #expect(answer.pointers == pointers, "\(body.text)")
      }
      let upper = with("sha256", .string(SHA256.hash(data: [1]).hex.uppercased()))
      #expect(try await store.world.ask(.post, path, upper).status == 201)
      #expect(
        try await store.world.ask(.post, path, with("contentType", "text/plain; charset=utf-8")).status == 201
      )
      for (body, pointers) in [
        (["uploadId": "x"] as JSON, ["/uploadId"]), (["uploadId": .string(UUID().text)], ["/uploadId"]),
        (["uploadId": .string(UUID().text), "slot": "wifi"], ["/slot"]), (["uploadId": .null], ["/uploadId"]),
      ] {
        #expect(try await store.world.ask(.post, ObjectWorld.path, body).pointers == pointers, "\(body.text)")
      }
    }
  }

  @Test func onlyWhoMayAndOnlyTheirOwn() async throws {
    try await ObjectWorld.run { store in
      let world = store.world
      let draft = store.draft([1])
      #expect(try await world.ask(.post, path, as: .viewer, draft).status == 403)
      #expect(try await world.ask(.post, path, as: .operator, draft).status == 403)
      #expect(try await world.ask(.post, path, key: nil, draft.bytes).status == 401)
      #expect(try await world.ask(.post, path, key: World.rootKey, draft.bytes).status == 400)
      #expect(
        try await world.ask(
          .post, path + "?organisationId=\(world.ours.text)", key: World.rootKey, draft.bytes
        ).status == 201)
      #expect(try await world.ask(.get, path).status == 405)
      let ticket = try await store.announce(draft)
      #expect(try await store.put(ticket, [1]).status == 200)
      let body: JSON = ["uploadId": ticket["uploadId"] ?? .null]
      let theirs = try await world.ask(.post, ObjectWorld.path, key: world.theirKey, body.bytes)
      #expect(theirs.status == 422)
      let none = try await world.ask(
        .post, ObjectWorld.path, key: world.theirKey, (["uploadId": .string(UUID().text)] as JSON).bytes)
      #expect(theirs.json == none.json, "another's is as if it did not exist")
      #expect(try await world.ask(.post, ObjectWorld.path, as: .operator, body).status == 403)
      #expect(try await world.ask(.post, ObjectWorld.path, body).status == 201)
    }
  }

  @Test("a slot with a schema takes JSON that it can be held against")
  func schemas() async throws {
    try await ObjectWorld.run { store in
      let board = try await store.world.board([
        "model": ["required": ["name"], "properties": ["layers": ["items": ["type": "integer"]]]]
      ])
      func announce(_ text: String, type: String = "application/json") async throws -> Answer {
        try await store.world.ask(.post, path, store.draft(Array(text.utf8), type: type, board: board))
      }
      func complete(_ text: String) async throws -> Answer {
        let ticket = try await announce(text).json
        _ = try await store.put(ticket, Array(text.utf8))
        return try await store.complete(ticket)
      }
      #expect(try await announce("x", type: "application/octet-stream").pointers == ["/contentType"])
      #expect(try await announce(String(repeating: " ", count: 1_048_577)).pointers == ["/size"])
      #expect(try await announce("x", type: "application/vnd.x+json").status == 201)
      #expect(
        try await complete(#"{"layers":[1,"2"]}"#).pointers.sorted() == [
          "/content/layers/1", "/content/name",
        ])
      #expect(try await complete(#"{"name":}"#).pointers.first?.hasPrefix("/content") == true)
      #expect(try await complete(#"{"name":1,"name":2}"#).pointers == ["/content/name"])
      let made = try await complete(#"{ "name": "m", "layers": [1] }"#)
      #expect(made.json["version"] == 1)
      #expect(
        made.json["sha256"]?.string == SHA256.hash(#"{ "name": "m", "layers": [1] }"#).hex, "over the bytes")
      let next = try await complete(#"{"name":"m","layers":[1,2]}"#)
      let diff = try await store.world.ask(
        .get,
        "\(ObjectWorld.path)/\(next.json["id"]?.string ?? "")/diff?against=\(made.json["id"]?.string ?? "")")
      #expect(diff.json["changes"] == [["op": "add", "pointer": "/layers/1", "after": 2]])
    }
  }

  @Test("of what is not JSON the diff has the two sides alone")
  func diffOfBytes() async throws {
    try await ObjectWorld.run { store in
      let (first, second) = (try await store.upload([1, 2]), try await store.upload([3]))
      let diff = try await store.world.ask(
        .get, "\(ObjectWorld.path)/\(second["id"]?.string ?? "")/diff?against=\(first["id"]?.string ?? "")")
      #expect(diff.status == 200)
      #expect(diff.json["changes"] == nil)
      #expect(diff.json["from"]?["size"] == 2)
      #expect(diff.json["to"]?["sha256"] == second["sha256"])
    }
  }
}
