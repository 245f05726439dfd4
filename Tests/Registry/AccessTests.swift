import Foundation
import HTTP
import TestSupport
import Testing
import Wire

@testable import RegistryService

/// Every route, the lowest role that may use it, and a body that it takes. `{name}` is of `World.names`.
struct RouteCase: Sendable, CustomTestStringConvertible {
  let method: String
  let template: String
  let path: String
  let role: String
  let body: JSON?
  /// Whether it is about one object that another organisation must not see.
  let isPrivate: Bool

  init(
    _ method: String, _ template: String, _ role: String, at path: String? = nil, _ body: JSON? = nil,
    isPrivate: Bool = false
  ) {
    (self.method, self.template, self.path) = (method, template, path ?? template)
    (self.role, self.body, self.isPrivate) = (role, body, isPrivate)
  }

  var testDescription: String { "\(method) /\(template)" }

  static let all: [RouteCase] = [
    .init("GET", "organisation", "viewer"), .init("POST", "organisation", "root", ["name": "Third"]),
    .init("GET", "organisation/id/{id}", "viewer", at: "organisation/id/{mine}", isPrivate: true),
    .init("PUT", "organisation/id/{id}", "admin", at: "organisation/id/{mine}", [:], isPrivate: true),
    .init("DELETE", "organisation/id/{id}", "admin", at: "organisation/id/{mine}", isPrivate: true),
    .init("GET", "organisation/name/{name}", "viewer", at: "organisation/name/Mine", isPrivate: true),
    .init("GET", "organisation/slug/{slug}", "viewer", at: "organisation/slug/mine", isPrivate: true),
    .init("GET", "apiKey", "admin"),
    .init("POST", "apiKey", "admin", ["name": "k", "role": "viewer", "organisationId": "{mine}"]),
    .init("DELETE", "apiKey/id/{id}", "admin", at: "apiKey/id/{nobody}"), .init("GET", "whoami", "viewer"),
    .init("GET", "board", "viewer"),
    .init("POST", "board", "admin", ["name": "b", "soc": "s", "organisationId": "{mine}"]),
    .init("GET", "board/id/{id}", "viewer", at: "board/id/{board}", isPrivate: true),
    .init("PUT", "board/id/{id}", "admin", at: "board/id/{board}", [:], isPrivate: true),
    .init("DELETE", "board/id/{id}", "admin", at: "board/id/{board}", isPrivate: true),
    .init("GET", "board/id/{id}/devices", "viewer", at: "board/id/{board}/devices", isPrivate: true),
    .init("GET", "network", "viewer"),
    .init(
      "POST", "network", "admin", ["name": "n", "key": "00", "networkId": 3, "organisationId": "{mine}"]),
    .init("GET", "network/id/{id}", "viewer", at: "network/id/{network}", isPrivate: true),
    .init("PUT", "network/id/{id}", "admin", at: "network/id/{network}", [:], isPrivate: true),
    .init("DELETE", "network/id/{id}", "admin", at: "network/id/{network}", isPrivate: true),
    .init("GET", "sensorProfile", "viewer"),
    .init("POST", "sensorProfile", "admin", ["name": "p", "organisationId": "{mine}"]),
    .init("GET", "sensorProfile/id/{id}", "viewer", at: "sensorProfile/id/{profile}", isPrivate: true),
    .init("PUT", "sensorProfile/id/{id}", "admin", at: "sensorProfile/id/{profile}", [:], isPrivate: true),
    .init("DELETE", "sensorProfile/id/{id}", "admin", at: "sensorProfile/id/{profile}", isPrivate: true),
    .init("GET", "group", "viewer"),
    .init("POST", "group", "admin", ["name": "g", "organisationId": "{mine}"]),
    .init("GET", "group/id/{id}", "viewer", at: "group/id/{group}", isPrivate: true),
    .init("PUT", "group/id/{id}", "admin", at: "group/id/{group}", [:], isPrivate: true),
    .init("DELETE", "group/id/{id}", "admin", at: "group/id/{group}", isPrivate: true),
    .init("GET", "group/id/{id}/device", "viewer", at: "group/id/{group}/device", isPrivate: true),
    .init(
      "POST", "group/id/{id}/device", "operator", at: "group/id/{group}/device", ["deviceIds": []],
      isPrivate: true),
    .init(
      "DELETE", "group/id/{id}/device", "operator", at: "group/id/{group}/device", ["deviceIds": []],
      isPrivate: true),
    .init("GET", "device/id/{id}/component", "viewer", at: "device/id/{device}/component", isPrivate: true),
    .init(
      "PUT", "device/id/{id}/component", "operator", at: "device/id/{device}/component",
      ["key": "k", "sensorProfileId": "{profile}"], isPrivate: true),
    .init(
      "DELETE", "device/id/{id}/component/{key}", "operator", at: "device/id/{device}/component/none",
      isPrivate: true),
    .init(
      "POST", "device/id/{id}/certificate", "operator", at: "device/id/{device}/certificate",
      ["csr": .string(TestAuthority.request)], isPrivate: true),
    .init(
      "DELETE", "device/id/{id}/certificate", "operator", at: "device/id/{device}/certificate",
      isPrivate: true),
    .init("GET", "device", "viewer"),
    .init(
      "POST", "device", "operator", ["organisationId": "{mine}", "boardId": "{board}", "mcuId": "first"]),
    .init("GET", "device/id/{id}", "viewer", at: "device/id/{device}", isPrivate: true),
    .init("PUT", "device/id/{id}", "operator", at: "device/id/{device}", [:], isPrivate: true),
    .init("PATCH", "device/id/{id}", "operator", at: "device/id/{device}", [:], isPrivate: true),
    .init("DELETE", "device/id/{id}", "operator", at: "device/id/first", isPrivate: true),
    .init("GET", "device/deviceId/{deviceId}", "viewer", isPrivate: true),
    .init(
      "GET", "device/soc/{soc}/mcuId/{mcuId}", "viewer", at: "device/soc/nrf52/mcuId/first", isPrivate: true),
    .init("GET", "device/id/{id}/state", "viewer", at: "device/id/{device}/state", isPrivate: true),
    .init("GET", "device/deviceId/{deviceId}/state", "viewer", isPrivate: true),
    .init("GET", "device/deviceId/{deviceId}/lastRoute", "viewer", isPrivate: true),
    .init("POST", "device/lastRoute", "viewer", ["deviceIds": []]),
    .init("GET", "device-and-state", "viewer"),
    .init("GET", "device/export", "viewer"), .init("POST", "device/import", "operator"),
  ]
}

@Suite("Who may do what")
struct AccessTests {
  static let roles = ["viewer", "operator", "admin", "root"]

  /// The operations that openapi.yaml describes, each with the lowest role that its summary names in brackets.
  private static func described() -> [String: String] {
    var operations: [String: String] = [:]
    var (path, operation) = ("", "")
    for line in String(decoding: PackageResources.openapi_yaml, as: UTF8.self).split(separator: "\n") {
      if line.hasPrefix("components:") { break }
      let indent = line.prefix { $0 == " " }.count
      let (text, name) = (line.dropFirst(indent), line.dropFirst(indent).prefix { $0 != ":" })
      switch indent {
      case 2: path = String(name)
      case 4 where name.allSatisfy(\.isLowercase) && name != "parameters":
        operation = "\(name.uppercased()) \(path)"
        operations[operation] = "viewer"
      case 6 where name == "summary":
        let role = ["(operator", "(admin", "(root key"].first { text.contains($0) }
        operations[operation] = role.map { String($0.dropFirst().prefix { $0 != " " }) } ?? "viewer"
      default: break
      }
    }
    for open in ["livez", "readyz", "metrics", "openapi.yaml"] { operations["GET /\(open)"] = nil }
    return operations
  }

  @Test("the table has every route with its role, and so has openapi.yaml")
  func complete() async throws {
    let world = try await World.shared()
    let routes = Set(world.api.routes.map { "\($0.method.rawValue) \($0.template)" })
    #expect(routes == Set(RouteCase.all.map { "\($0.method) /\($0.template)" }))
    let table = RouteCase.all.map { ("\($0.method) /\($0.template)", $0.role) }
    #expect(Self.described() == Dictionary(table) { first, _ in first })
    // What a path names is somebody's. (A key that is revoked could not be tried twice: `revoked` tries it.)
    let named = RouteCase.all.filter { $0.template.contains("{") && $0.template != "apiKey/id/{id}" }
    #expect(named.filter { !$0.isPrivate }.map(\.testDescription) == [])
  }

  @Test("a role too low is 403, no key or a wrong one 401", arguments: RouteCase.all)
  func roles(_ route: RouteCase) async throws {
    let world = try await World.shared()
    let needed = try #require(Self.roles.firstIndex(of: route.role))
    for role in Self.roles[..<needed] {
      #expect(await world.send(route.method, route.path, body: route.body, as: role).status == 403, "\(role)")
    }
    #expect(await world.send(route.method, route.path, body: route.body, as: nil).status == 401)
    #expect(await world.send(route.method, route.path, body: route.body, as: "mk_wrong").status == 401)
    // The rest are asked with an If-Match that fits nothing, so that nothing is removed.
    for role in Self.roles[needed...] where route.method != "POST" {
      let answer = await world.send(
        route.method, route.path, body: route.body, as: role, headers: ["If-Match": "\"0\""])
      #expect(![401, 403, 405, 422, 500].contains(answer.status), "\(role): \(answer.status)")
    }
  }

  @Test(
    "another organisation's object is answered as one that is not there",
    arguments: RouteCase.all.filter(\.isPrivate))
  func tenants(_ route: RouteCase) async throws {
    let world = try await World.shared()
    let nothing = [
      "{mine}", "{board}", "{network}", "{profile}", "{group}", "{device}", "{deviceId}", "Mine", "mine",
      "first",
    ]
    .reduce(route.path) {
      $0.replacingOccurrences(of: "/\($1)", with: $1 == "{deviceId}" ? "/ffffffffffffffff" : "/{nobody}")
    }
    let foreign = await world.send(route.method, route.path, body: route.body, as: "stranger")
    let unknown = await world.send(route.method, nothing, body: route.body, as: "stranger")
    #expect(foreign.status == 404)
    #expect(foreign.status == unknown.status)
    #expect(foreign.json == unknown.json)
  }

  @Test(
    "what a body names is hidden in the same way",
    arguments: [
      ("apiKey", ["organisationId": "{mine}", "name": "n", "role": "viewer"], "/organisationId"),
      ("board", ["organisationId": "{mine}", "name": "n", "soc": "s"], "/organisationId"),
      ("device", ["organisationId": "{mine}", "boardId": "{board}", "mcuId": "m"], "/organisationId"),
      ("device", ["boardId": "{board}", "mcuId": "m"], "/boardId"),
      ("device", ["boardId": "{nobody}", "mcuId": "m"], "/boardId"),
      (
        "network", ["organisationId": "{mine}", "name": "n", "key": "00", "networkId": 1],
        "/organisationId"
      ), ("sensorProfile", ["organisationId": "{mine}", "name": "n"], "/organisationId"),
      ("group", ["organisationId": "{mine}", "name": "n"], "/organisationId"),
      ("group", ["organisationId": "{mine}", "name": "n", "query": ["filter": "soc==x"]], "/organisationId"),
      (
        "device", ["boardId": "{publicBoard}", "mcuId": "m", "networkId": "{network}"], "/networkId"
      ), ("device", ["boardId": "{publicBoard}", "mcuId": "m", "networkId": "{nobody}"], "/networkId"),
    ] as [(String, JSON, String)])
  func references(_ path: String, _ body: JSON, _ pointer: String) async throws {
    let answer = try await World.shared().send("POST", path, body: body, as: "stranger")
    #expect(answer.status == 404)
    #expect(answer.pointers == [pointer])
  }

  @Test("lists show only one's own, and the public boards of others")
  func lists() async throws {
    let world = try await World.shared()
    for path in [
      "device", "device-and-state", "board?includePublic=false", "network?includePublic=false", "apiKey",
    ] {
      let items = await world.send("GET", path, as: "stranger").json.array ?? []
      #expect(items.allSatisfy { $0["organisationId"]?.string == world.names["other"] }, "\(path)")
      #expect(await world.send("GET", path).json.array?.isEmpty == false, "\(path)")
    }
    #expect(await world.send("GET", "organisation", as: "stranger").json.array?.count == 1)
    for (path, open) in [("board", "publicBoard"), ("network", "publicNetwork")] {
      let items = await world.send("GET", path, as: "stranger").json.array ?? []
      #expect(items.contains { $0["id"]?.string == world.names[open] })
      #expect(items.allSatisfy { $0["public"] == true })
    }
  }

  @Test(
    "organisationId in the query is never passed over: another one is 404, and root looks in that one alone")
  func named() async throws {
    let world = try await World.shared()
    let device = await world.send(
      "POST", "device", body: ["boardId": "{board}", "mcuId": .string(UUID.v7().text)])
    let one = "device/id/\(device.json["deviceId"]?.string ?? "")"
    for path in [
      one, "\(one)/state", "board/id/{board}", "network/id/{network}", "sensorProfile/id/{profile}",
      "group/id/{group}", "group/id/{group}/device", "organisation/id/{mine}", "organisation/slug/mine",
    ] {
      for (key, organisation, status) in [
        ("admin", "{other}", 404), ("admin", "{mine}", 200), ("root", "{other}", 404),
        ("root", "{mine}", 200),
        ("admin", "x", 400),
      ] {
        let answer = await world.send("GET", "\(path)?organisationId=\(organisation)", as: key)
        #expect(answer.status == status, "\(path) \(key) \(organisation)")
      }
    }
    let listed = await world.send("GET", "organisation?organisationId={other}", as: "root")
    #expect(listed.json.array?.map { $0["id"]?.string } == [world.names["other"]])
    for path in ["board/id/{board}", "group/id/{group}", "organisation/id/{mine}", one] {
      for method in ["PUT", "DELETE"] {
        let answer = await world.send(
          method, "\(path)?organisationId={other}", body: ["name": "x"], as: "root")
        #expect(answer.status == 404, "\(method) \(path)")
      }
    }
    for (path, body) in [
      ("board", ["name": "b", "soc": "s"]), ("group", ["name": "g"]), ("sensorProfile", ["name": "s"]),
      ("apiKey", ["name": "k", "role": "viewer"]),
    ] as [(String, JSON)] {
      let made = await world.send("POST", "\(path)?organisationId={mine}", body: body, as: "root")
      #expect(made.status == 201 && made.json["organisationId"]?.string == world.names["mine"], "\(path)")
      let id = made.json["id"]?.string ?? ""
      #expect(await world.send("DELETE", "\(path)/id/\(id)?organisationId={other}", as: "root").status == 404)
      #expect(await world.send("DELETE", "\(path)/id/\(id)?organisationId={mine}", as: "root").status == 204)
      var other = body.object ?? JSONObject()
      other["organisationId"] = "{other}"
      let crossed = await world.send(
        "POST", "\(path)?organisationId={mine}", body: .object(other), as: "root")
      #expect(crossed.status == 404, "\(path)")
    }
    let none = await world.send("POST", "organisation?organisationId={mine}", body: ["name": "N"], as: "root")
    #expect(none.status == 400)
  }

  @Test("a public board may be used by others, but not changed")
  func publicBoard() async throws {
    let world = try await World.shared()
    let made = await world.send(
      "POST", "device", body: ["boardId": "{publicBoard}", "mcuId": "abroad"], as: "stranger")
    #expect(made.status == 201)
    #expect(
      await world.send("PUT", "board/id/{publicBoard}", body: ["name": "x"], as: "stranger").status == 403)
    let hidden = await world.send("PUT", "board/id/{publicBoard}", body: ["public": false])
    #expect(hidden.status == 409)
    #expect(hidden.pointers == ["/public"])
  }

  @Test("a revoked or expired key is refused")
  func revoked() async throws {
    let world = try await World.shared()
    let old = await world.send(
      "POST", "apiKey", body: ["name": "old", "role": "viewer", "expiresAt": "2020-01-01T00:00:00Z"])
    #expect(await world.send("GET", "whoami", as: old.json["key"]?.string).status == 401)
    let made = await world.send("POST", "apiKey", body: ["name": "gone", "role": "viewer"])
    let (id, key) = (try #require(made.json["id"]?.string), try #require(made.json["key"]?.string))
    #expect(await world.send("GET", "whoami", as: key).json["role"] == "viewer")
    #expect(await world.send("GET", "apiKey").json.text.contains(key) == false)
    #expect(await world.send("DELETE", "apiKey/id/\(id)", as: "stranger").status == 404)
    #expect(await world.send("DELETE", "apiKey/id/\(id)").status == 204)
    try await Task.sleep(for: .milliseconds(600))
    #expect(await world.send("GET", "whoami", as: key).status == 401)
  }

  @Test(
    "a key with an end works until then", arguments: ["9999-12-31T23:59:59Z", "2999-01-01T00:00:00+02:00"])
  func expiry(_ end: String) async throws {
    let world = try await World.shared()
    let made = await world.send(
      "POST", "apiKey", body: ["name": "k", "role": "viewer", "expiresAt": .string(end)])
    #expect(made.status == 201)
    #expect(made.json["expiresAt"]?.string?.hasSuffix("Z") == true)
    #expect(await world.send("GET", "whoami", as: made.json["key"]?.string).status == 200)
    let id = try #require(made.json["id"]?.string.flatMap { UUID(text: $0) })
    // Its instant has come.
    try await world.database.query("UPDATE api_key SET expires_at = now() WHERE id = \(id)")
    try await eventually("it is dead") {
      await world.send("GET", "whoami", as: made.json["key"]?.string).status == 401
    }
  }

  @Test("a revocation that the other services do not know of yet says so")
  func revokedUnheard() async throws {
    let world = try await World(bootstrap: "127.0.0.1:1")
    let organisation =
      await world.send("POST", "organisation", body: ["name": "Alone"], as: "root").json["id"] ?? .null
    let key = await world.send(
      "POST", "apiKey", body: ["organisationId": organisation, "name": "k", "role": "viewer"], as: "root")
    let id = try #require(key.json["id"]?.string)
    let answer = await world.send("DELETE", "apiKey/id/\(id)", as: "root")
    #expect(answer.status == 202)
    #expect(answer.json["id"]?.string == id)
    #expect(answer.json["published"] == false)
    #expect(await world.send("DELETE", "apiKey/id/\(id)", as: "root").status == 404, "and it is done")
  }
}
