import HTTP
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
  ]
}

@Suite("Who may do what")
struct AccessTests {
  static let roles = ["viewer", "operator", "admin", "root"]

  @Test("the table has every route, and so has openapi.yaml")
  func complete() async throws {
    let world = try await World.shared()
    let routes = Set(world.api.routes.map { "\($0.method.rawValue) \($0.template)" })
    #expect(routes == Set(RouteCase.all.map { "\($0.method) /\($0.template)" }))
    var described: Set<String> = []
    var path = ""
    for line in String(decoding: PackageResources.openapi_yaml, as: UTF8.self).split(separator: "\n") {
      if line.hasPrefix("components:") { break }
      if line.hasPrefix("  /") { path = String(line.dropFirst(2).prefix { $0 != ":" }) }
      let method = line.trimmingPrefix(while: { $0 == " " }).prefix { $0 != ":" }
      if line.hasPrefix("    "), !line.hasPrefix("     "), method.allSatisfy(\.isLowercase),
        method != "parameters"
      {
        described.insert("\(method.uppercased()) \(path)")
      }
    }
    #expect(
      routes == described.subtracting(["GET /livez", "GET /readyz", "GET /metrics", "GET /openapi.yaml"]))
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
    let nothing = ["{mine}", "{board}", "{device}", "{deviceId}", "Mine", "mine", "first"]
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
    ] as [(String, JSON, String)])
  func references(_ path: String, _ body: JSON, _ pointer: String) async throws {
    let answer = try await World.shared().send("POST", path, body: body, as: "stranger")
    #expect(answer.status == 404)
    #expect(answer.pointers == [pointer])
  }

  @Test("lists show only one's own, and the public boards of others")
  func lists() async throws {
    let world = try await World.shared()
    for path in ["device", "device-and-state", "board?includePublic=false", "apiKey"] {
      let items = await world.send("GET", path, as: "stranger").json.array ?? []
      #expect(items.allSatisfy { $0["organisationId"]?.string == world.names["other"] }, "\(path)")
      #expect(await world.send("GET", path).json.array?.isEmpty == false, "\(path)")
    }
    #expect(await world.send("GET", "organisation", as: "stranger").json.array?.count == 1)
    let boards = await world.send("GET", "board", as: "stranger").json.array ?? []
    #expect(boards.contains { $0["id"]?.string == world.names["publicBoard"] })
    #expect(boards.allSatisfy { $0["public"] == true })
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
