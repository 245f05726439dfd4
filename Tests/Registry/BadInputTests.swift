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
    .init("PUT", "board/id/{board}", ["organisationId": "{other}", "soc": .null], "/organisationId", "/soc"),
    .init("POST", "device", [:], "/mcuId", "/boardId"),
    .init(
      "POST", "device", ["mcuId": "a b", "boardId": "x", "deviceId": "ABCDEF0123456789", "networkId": 3],
      "/mcuId", "/boardId", "/deviceId", "/networkId"),
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
    .init("PUT", "device/id/{device}", ["mcuId": "x"], "/mcuId"),
    .init(
      "PATCH", "device/id/{device}", ["mcuId": "x", "organisationId": .null, "metadata": ["a": 1], "z": 1],
      "/mcuId", "/organisationId", "/metadata/a", "/z"),
    .init("PATCH", "device/id/{device}", [1], ""),
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
      ["apiKey", "board", "device"].contains(bad.path) ? bad.pointers + ["/organisationId"] : bad.pointers
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
      ("GET", "board/id/{board}/devices?metadataName=a", 400), ("GET", "device?organisationId=x", 200),
      ("GET", "organisation/id/x", 404), ("GET", "board/id/x", 404), ("DELETE", "apiKey/id/x", 404),
      ("GET", "device/id/no%20such", 404), ("GET", "network", 404), ("GET", "nothing", 404),
      ("PATCH", "device", 405), ("PUT", "whoami", 405), ("GET", "device/lastRoute", 405),
    ])
  func parameters(_ method: String, _ path: String, _ status: Int) async throws {
    let answer = try await World.shared().send(method, path)
    #expect(answer.status == status)
    if status == 405 { #expect(answer.headers["Allow"] != nil) }
  }
}
