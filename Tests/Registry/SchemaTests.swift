import Foundation
import Testing
import Wire

@testable import RegistryService

/// The schemas that boards bring, for their slots and for the parameters of their commands.
@Suite("Schemas of boards")
struct SchemaTests {
  private static func board(_ schema: JSON) -> JSON {
    [
      "organisationId": "{mine}", "name": "Schemas", "soc": "s", "configSchemas": ["wifi": schema],
      "commandCatalogue": ["blink": ["paramsSchema": schema]],
    ]
  }

  @Test(
    "one that is not valid is 422 with the place of each fault",
    arguments: [
      (#"{"type":"strnig"}"#, ["/type"]), ("3", [""]), (#""object""#, [""]), ("[]", [""]),
      (#"{"$schema":"http://json-schema.org/draft-07/schema#"}"#, ["/$schema"]),
      (#"{"properties":{"a/b":{"minimum":"1"}},"required":"a"}"#, ["/properties/a~1b/minimum", "/required"]),
      (#"{"pattern":"^(?=a)"}"#, ["/pattern"]), (##"{"$ref":"#/$defs/none"}"##, ["/$ref"]),
      (##"{"$ref":"#"}"##, ["/$ref"]), (#"{"$ref":"other.json"}"#, ["/$ref"]),
    ])
  func refused(_ schema: String, _ pointers: [String]) async throws {
    let world = try await World.shared()
    let body = Self.board(try JSON(parsing: schema))
    let expected = Set(
      pointers.flatMap { ["/configSchemas/wifi" + $0, "/commandCatalogue/blink/paramsSchema" + $0] })
    for (method, path) in [("POST", "board"), ("PUT", "board/id/{board}")] {
      let answer = await world.send(method, path, body: body)
      #expect(answer.status == 422)
      #expect(Set(answer.pointers) == expected, "\(answer.json.text)")
    }
  }

  @Test("one of 900 KB is 422 with its place, and so are many that only are large together")
  func large() async throws {
    let world = try await World.shared()
    let long: JSON = ["description": .string(String(repeating: "x", count: 900_000))]
    let answer = await world.send(
      "POST", "board", body: ["name": "Large", "soc": "s", "configSchemas": ["wifi": long]])
    #expect(answer.status == 422)
    #expect(answer.pointers == ["/configSchemas/wifi"])
    var slots = JSONObject()
    for slot in 0..<100 { slots["slot\(slot)"] = ["pattern": .string(#"^\p{L}{1,3}\p{N}"# + "\(slot)")] }
    let many = await world.send(
      "POST", "board", body: ["name": "Many", "soc": "s", "configSchemas": .object(slots)])
    #expect(many.status == 422)
    #expect(!many.pointers.isEmpty && many.pointers.allSatisfy { $0.hasSuffix("/pattern") })
  }

  @Test("one that names a server is refused, and nobody connects to it")
  func reachingOut() async throws {
    let listener = try Listener()
    let world = try await World.shared()
    let uri = "http://127.0.0.1:\(listener.port)/s.json"
    for keyword in ["$ref", "$dynamicRef", "$schema"] {
      let answer = await world.send("POST", "board", body: Self.board(.object([keyword: .string(uri)])))
      #expect(answer.status == 422)
      #expect(answer.pointers.contains("/configSchemas/wifi/\(keyword)"), "\(answer.json.text)")
    }
    // What only looks like a reference, or only names itself so, is taken.
    for schema: JSON in [
      ["$id": .string(uri)], ["$comment": .string(uri)], ["enum": [["$ref": .string(uri)]]],
    ] {
      #expect(await world.send("POST", "board", body: Self.board(schema)).status == 201)
    }
    #expect(!listener.hasCaller)
  }

  @Test(
    "they are kept as they were given, false and unknown keywords too",
    arguments: [
      "false", "true", "{}",
      #"{"x-unit":"dBm","type":"object","$comment":"b before a","properties":{"b":{"minimum":1.0},"a":true}}"#,
      ##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"#/$defs/é","$defs":{"é":{"type":"string","pattern":"^[\\w-]+$"},"e\u0301":{}}}"##,
    ])
  func kept(_ text: String) async throws {
    let world = try await World.shared()
    let schema = try JSON(parsing: text)
    let made = await world.send("POST", "board", body: Self.board(schema))
    #expect(made.status == 201, "\(made.json.text)")
    let read = await world.send("GET", "board/id/\(made.json["id"]?.string ?? "")")
    // By value: PostgreSQL's jsonb keeps no order of members.
    #expect(read.json["configSchemas"]?["wifi"]?.canonicalBytes == schema.canonicalBytes)
    #expect(read.json["commandCatalogue"]?["blink"]?["paramsSchema"]?.canonicalBytes == schema.canonicalBytes)
  }
}

/// A socket on loopback that somebody might connect to.
private final class Listener {
  let port: UInt16
  private let descriptor: Int32

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    try withUnsafeMutablePointer(to: &address) {
      try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        try #require(bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0)
        try #require(getsockname(descriptor, $0, &length) == 0)
      }
    }
    port = UInt16(bigEndian: address.sin_port)
  }

  deinit { close(descriptor) }

  /// Whether somebody has connected, served or not.
  var hasCaller: Bool {
    let caller = accept(descriptor, nil, nil)
    if caller >= 0 { close(caller) }
    return caller >= 0
  }
}
