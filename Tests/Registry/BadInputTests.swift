import Foundation
import HTTP
import Testing
import Wire

@testable import RegistryService

/// A body that does not fit, and the pointers of all that is wrong with it.
struct BadBody: Sendable, CustomTestStringConvertible {
  let method: String
  let path: String
  let body: JSON
  let pointers: [String]

  init(_ method: String, _ path: String, _ body: JSON, _ pointers: String...) {
    (self.method, self.path, self.body, self.pointers) = (method, path, body, pointers)
  }

  var testDescription: String { "\(method) \(path): \(body.text.prefix(60))" }

  static let all: [BadBody] = [
    .init("POST", "organisation", [:], "/name"),
    .init("POST", "organisation", ["name": "", "slug": "A b", "x": 1], "/name", "/slug", "/x"),
    .init("POST", "organisation", [1], ""),
    .init("PUT", "organisation/id/{mine}", ["id": "x", "slug": "-"], "/id", "/slug"),
    .init("PUT", "organisation/id/{mine}", ["name": .null], "/name"),
    .init("PUT", "organisation/id/{mine}", "text", ""),
    .init(
      "POST", "apiKey", ["name": 1, "role": "king", "expiresAt": "soon"], "/name", "/role", "/expiresAt"),
    .init(
      "POST", "apiKey", ["name": "k", "role": "viewer", "expiresAt": "2020-01-01T00:00:00Z"], "/expiresAt"),
    .init(
      "POST", "apiKey", ["name": "k", "role": "viewer", "expiresAt": "2999-01-01T00:00:00"], "/expiresAt"),
    .init(
      "POST", "apiKey", ["name": "k", "role": "viewer", "expiresAt": "2999-02-30T00:00:00Z"], "/expiresAt"),
    .init("POST", "board", [:], "/name", "/soc"),
    .init(
      "POST", "board",
      [
        "name": "b", "soc": "s", "public": "yes",
        "metadataFields": [["name": "a"], ["name": "", "odd": 1], 3],
      ],
      "/public", "/metadataFields/1/name", "/metadataFields/1/odd", "/metadataFields/2"),
    .init(
      "POST", "board", ["name": "b", "soc": "s", "metadataFields": [["name": "a"], ["name": "a"]]],
      "/metadataFields"),
    .init("POST", "board", ["name": "b", "soc": "s", "configSchemas": ["wifi": 3]], "/configSchemas/wifi"),
    .init("POST", "board", ["name": "b", "soc": "s", "configSchemas": ["a b": true]], "/configSchemas"),
    .init(
      "POST", "board",
      [
        "name": "b", "soc": "s",
        "commandCatalogue": ["lock": ["paramsSchema": 1, "timeouts": ["deliverSeconds": 0], "z": 1]],
      ],
      "/commandCatalogue/lock/paramsSchema", "/commandCatalogue/lock/timeouts/deliverSeconds",
      "/commandCatalogue/lock/z"),
    .init(
      "POST", "board",
      [
        "name": "b", "soc": "s",
        "commandCatalogue": [
          "a": ["topic": "x/+/y"], "b": ["topic": "x/{unknown}"],
          "c": ["topic": "martlet/v1/{device_id}/desired"],
          "d": ["topic": "$SYS/x", "payload": "{nothing}"], "e": ["topic": "x", "answerTopic": "x/#"],
          "f": ["topic": "x", "answerTopic": "y"], "g": ["payload": "1"],
          "h": ["topic": "x", "answerTopic": "x/{device_id}", "answers": ["completed": 1, "odd": "x"]],
        ],
      ],
      "/commandCatalogue/a/topic", "/commandCatalogue/b/topic", "/commandCatalogue/c/topic",
      "/commandCatalogue/d/topic", "/commandCatalogue/d/payload", "/commandCatalogue/e/answerTopic",
      "/commandCatalogue/f/answerTopic", "/commandCatalogue/g/payload",
      "/commandCatalogue/h/answers/completed", "/commandCatalogue/h/answers/odd"),
    .init("PUT", "board/id/{board}", ["organisationId": "{other}", "soc": .null], "/organisationId", "/soc"),
    .init("POST", "device", [:], "/mcuId", "/boardId"),
    .init(
      "POST", "device", ["mcuId": "a b", "boardId": "x", "deviceId": "ABCDEF0123456789", "networkId": 3],
      "/mcuId", "/boardId", "/deviceId", "/networkId"),
    .init(
      "POST", "device",
      ["mcuId": .string(String(repeating: "m", count: 65)), "boardId": "{board}", "deviceId": 42],
      "/mcuId", "/deviceId"),
    .init("POST", "network", [:], "/name", "/key", "/networkId"),
    .init(
      "POST", "network",
      ["name": "n", "key": "abc", "networkId": -1, "public": 1, "description": .null, "x": 1],
      "/key", "/networkId", "/public", "/x"),
    .init(
      "POST", "network", ["name": "n", "key": "zz", "networkId": 4_294_967_296], "/key", "/networkId"),
    .init("POST", "network", ["name": "n", "key": "", "networkId": "7"], "/key", "/networkId"),
    .init(
      "PUT", "network/id/{network}", ["organisationId": "{other}", "key": .null, "networkId": .double(1.5)],
      "/organisationId", "/key", "/networkId"),
    .init("POST", "sensorProfile", ["configSchemas": ["a b": true]], "/name", "/configSchemas"),
    .init(
      "PUT", "sensorProfile/id/{profile}", ["name": .null, "configSchemas": ["wifi": 3], "id": "x"],
      "/name", "/configSchemas/wifi", "/id"),
    .init("POST", "group", ["query": [:], "x": 1], "/name", "/query/filter", "/x"),
    .init("POST", "group", ["name": "g", "query": ["filter": "", "y": 1]], "/query/filter", "/query/y"),
    .init("POST", "group", ["name": "g", "query": "soc==x"], "/query"),
    .init("PUT", "group/id/{group}", ["name": .null, "query": ["filter": 1]], "/name", "/query/filter"),
    .init("POST", "group/id/{group}/device", [:], "/deviceIds"),
    .init(
      "POST", "group/id/{group}/device", ["deviceIds": ["{deviceId}", "", 7]], "/deviceIds/1", "/deviceIds/2"),
    .init(
      "DELETE", "group/id/{group}/device", ["deviceIds": .array(Array(repeating: "{device}", count: 1001))],
      "/deviceIds"),
    .init("PUT", "device/id/{device}/component", [:], "/key", "/sensorProfileId"),
    .init(
      "PUT", "device/id/{device}/component",
      ["key": "a/b", "sensorProfileId": "x", "name": "", "id": "{nobody}"],
      "/key", "/sensorProfileId", "/name", "/id"),
    .init(
      "POST", "board",
      [
        "name": "b", "soc": "s",
        "commandTimeouts": ["deliverSeconds": 0, "completeSeconds": 2_592_001, "z": 1],
      ],
      "/commandTimeouts/deliverSeconds", "/commandTimeouts/completeSeconds", "/commandTimeouts/z"),
    .init("POST", "organisation", ["name": "东京"], "/slug"),
    .init("POST", "organisation", ["name": "A", "slug": .null], "/slug"),
    .init("POST", "organisation", ["name": "ok", "slug": "a"], "/slug"),
    .init(
      "POST", "organisation", ["name": "ok", "slug": .string(String(repeating: "a", count: 41))], "/slug"),
    .init(
      "POST", "device", ["mcuId": "m", "boardId": "{board}", "metadata": ["a": 1, "b/c": .null]],
      "/metadata/a",
      "/metadata/b~1c"),
    .init(
      "POST", "device",
      [
        "mcuId": "m", "boardId": "{board}",
        "initialDeviceState": ["applicationVersion": ["major": -1], "x": 1],
      ],
      "/initialDeviceState/applicationVersion/major", "/initialDeviceState/applicationVersion/minor",
      "/initialDeviceState/applicationVersion/revision", "/initialDeviceState/applicationVersion/buildNum",
      "/initialDeviceState/x"),
    .init(
      "PUT", "device/id/{device}", ["metadata": ["operation": "add", "value": ["a": 1]]],
      "/metadata/operation", "/metadata/value/a"),
    .init(
      "PUT", "device/id/{device}", ["metadata": ["operation": "replace", "value": ["a": .null]]],
      "/metadata/value/a"),
    .init("PUT", "device/id/{device}", ["metadata": ["operation": "replace"]], "/metadata/value"),
    .init(
      "PUT", "device/id/{device}", ["mcuId": .null, "boardId": .null, "networkId": 3],
      "/mcuId", "/boardId", "/networkId"),
    .init(
      "PUT", "device/id/{device}", ["deviceId": "{deviceId}", "organisationId": "{mine}"],
      "/deviceId", "/organisationId"),
    .init(
      "PATCH", "device/id/{device}",
      ["mcuId": "a b", "organisationId": "{other}", "metadata": ["a": 1], "z": 1],
      "/mcuId", "/organisationId", "/metadata/a", "/z"),
    .init(
      "PATCH", "device/id/{device}", ["mcuId": .null, "boardId": .null, "deviceId": "0123456789abcdef"],
      "/mcuId", "/boardId", "/deviceId"),
    .init("PATCH", "device/id/{device}", ["metadata": ["site": ["a": "1"]]], "/metadata/site"),
    .init(
      "PATCH", "device/id/{device}",
      ["metadata": .object(JSONObject((0..<20_000).map { Named(name: "n\($0)", value: "x") }))], "/metadata"),
    .init("PATCH", "device/id/{device}", [1], ""), .init("PATCH", "device/id/{device}", .null, ""),
    .init("POST", "device/lastRoute", [:], "/deviceIds"),
    .init("POST", "device/lastRoute", ["deviceIds": ["a", 1]], "/deviceIds/1"),
    .init(
      "POST", "device/lastRoute", ["deviceIds": .array(Array(repeating: "a", count: 1001))], "/deviceIds"),
  ]
}

@Suite("Bad input")
struct BadInputTests {
  @Test("every fault has its pointer", arguments: BadBody.all)
  func pointers(_ bad: BadBody) async throws {
    let answer = try await World.shared().send(bad.method, bad.path, body: bad.body, as: "root")
    // Root has to say whose a new object is.
    let expected =
      ["apiKey", "board", "device", "network", "sensorProfile", "group"].contains(bad.path)
      ? bad.pointers + ["/organisationId"] : bad.pointers
    #expect(answer.status == 422)
    #expect(Set(answer.pointers) == Set(expected))
    #expect(answer.headers["Content-Type"] == "application/problem+json")
  }

  @Test(
    "what is not JSON is 400 with a pointer",
    arguments: [
      ("{", ""), (#"{"name":"\u0000"}"#, "/name"), (#"{"name":1,"name":2}"#, "/name"),
      (#"{"name":"\ud800"}"#, "/name"),
    ])
  func malformed(_ text: String, _ pointer: String) async throws {
    try await refused(Array(text.utf8), pointer)
  }

  @Test("too deep, or not UTF-8")
  func hostile() async throws {
    let deep = String(repeating: #"{"a":"#, count: 65) + "1" + String(repeating: "}", count: 65)
    try await refused(Array(deep.utf8), String(repeating: "/a", count: 64))
    try await refused(Array(#"{"name":""#.utf8) + [0xFF] + Array(#""}"#.utf8), "/name")
  }

  private func refused(_ body: [UInt8], _ pointer: String) async throws {
    let world = try await World.shared()
    let request = HTTPRequest(
      method: .post, target: "/organisation", headers: ["X-API-Key": World.rootKey], body: body)
    let response = await world.api.respond(to: request)
    #expect(response.status == 400)
    guard case .bytes(let bytes) = response.body else { return }
    #expect(try JSON(parsing: bytes)["errors"]?.array?.first?["pointer"]?.string == pointer)
  }

  @Test(
    "bad parameters are 400, bad ids 404, wrong methods 405",
    arguments: [
      ("GET", "device?limit=0", 400), ("GET", "device?limit=1001", 400), ("GET", "device?offset=-1", 400),
      ("GET", "device?cursor=x", 400), ("GET", "device?cursor=WyJhIiwiYiJd", 400),
      ("GET", "device?boardId=x", 400),
      ("GET", "device?online=maybe", 400), ("GET", "board?includePublic=1", 400),
      ("GET", "board/id/{board}/devices?metadataName=a", 400), ("GET", "device?organisationId=x", 400),
      ("GET", "device?organisationId={mine}", 200),
      ("GET", "device?organisationId={other}", 404), ("GET", "device?organisationId={nobody}", 404),
      ("GET", "organisation/id/x", 404), ("GET", "board/id/x", 404), ("DELETE", "apiKey/id/x", 404),
      ("GET", "device/id/no%20such", 404), ("GET", "networks", 404), ("GET", "nothing", 404),
      ("GET", "network/id/x", 404), ("GET", "network?includePublic=1", 400), ("GET", "network?limit=0", 400),
      ("GET", "network?unknown=1", 400), ("GET", "network?limit=1&limit=2", 400),
      ("GET", "sensorProfile?includePublic=true", 400), ("GET", "sensorProfile?offset=-1", 400),
      ("GET", "device/id/{device}/component?unknown=1", 400), ("GET", "device?networkId=x", 400),
      ("DELETE", "device/id/{device}/component/none", 404), ("GET", "device/id/none/component", 404),
      ("GET", "board/id/{board}/devices?metadataname=a&metadatavalue=x", 400),
      ("GET", "board/id/{board}/devices?unknown=1", 400),
      ("GET", "board/id/{board}/devices?limit=1&limit=1", 400),
      ("GET", "board?unknown=1", 400),
      ("PATCH", "device", 405), ("PUT", "whoami", 405), ("GET", "device/lastRoute", 405),
    ])
  func parameters(_ method: String, _ path: String, _ status: Int) async throws {
    let answer = try await World.shared().send(method, path)
    #expect(answer.status == status)
    if status == 405 { #expect(answer.headers["Allow"] != nil) }
  }
}
