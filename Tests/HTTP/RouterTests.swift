import HTTP
import Testing

@Suite struct RouterTests {
  private func router() -> Router<String> {
    var router = Router<String>()
    let routes: [(HTTPMethod, String)] = [
      (.get, "/"), (.get, "device"), (.post, "device"), (.get, "device/id/{id}"), (.put, "/device/id/{id}"),
      (.delete, "device/{any}/{other}"), (.get, "device/{kind}/all"), (.get, "device/id/{id}/state"),
      (.get, "device/{kind}/{value}/route"), (.head, "ping"), (.other("PURGE"), "ping"),
    ]
    for (method, path) in routes {
      router.on(method, path) { request, context in
        .text("\(context) \(path) \(request.pathParameters.sorted { $0.key < $1.key })")
      }
    }
    return router
  }

  @Test(
    arguments: [
      (HTTPMethod.get, [], "/", [:]),
      (.get, ["device"], "/device", [:]),
      (.get, ["device", "id", "7"], "/device/id/{id}", ["id": "7"]),
      (.put, ["device", "id", "a/b"], "/device/id/{id}", ["id": "a/b"]),
      // A literal wins, and only where it leads nowhere the parameter gets its turn.
      (.get, ["device", "id", "all"], "/device/id/{id}", ["id": "all"]),
      (.get, ["device", "x", "all"], "/device/{kind}/all", ["kind": "x"]),
      (.delete, ["device", "id", "7"], "/device/{any}/{other}", ["any": "id", "other": "7"]),
      (.get, ["device", "id", "7", "route"], "/device/{kind}/{value}/route", ["kind": "id", "value": "7"]),
      (.head, ["device"], "/device", [:]),
      (.head, ["ping"], "/ping", [:]),
      (.other("PURGE"), ["ping"], "/ping", [:]),
    ] as [(HTTPMethod, [String], String, [String: String])])
  func finds(method: HTTPMethod, path: [String], template: String, parameters: [String: String]) {
    guard case .found(_, let found, let name) = router().match(method, path) else {
      Issue.record("nothing for \(path)")
      return
    }
    #expect(name == template)
    #expect(found == parameters)
  }

  @Test(arguments: [
    ["nothing"], ["device", ""], ["device", "id", ""], ["device", "id", "7", "state", "x"], ["Device"],
    ["device", "x"],
    ["", "device"], ["{id}"],
  ])
  func knowsWhatIsNotThere(path: [String]) {
    guard case .notFound = router().match(.get, path) else {
      Issue.record("something for \(path)")
      return
    }
  }

  @Test(
    arguments: [
      (HTTPMethod.patch, ["device"], "GET, HEAD, OPTIONS, POST"),
      (.options, ["device", "id", "7"], "DELETE, GET, HEAD, OPTIONS, PUT"),
      (.get, ["ping"], "HEAD, OPTIONS, PURGE"),
      (.delete, ["device", "x", "all"], "GET, HEAD, OPTIONS"),
    ] as [(HTTPMethod, [String], String)])
  func tellsTheVerbs(method: HTTPMethod, path: [String], allow: String) async throws {
    let request = HTTPRequest(method: method, target: "/" + path.joined(separator: "/"))
    let response = try await router().respond(to: request, context: "c")
    #expect(response.status == (method == .options ? 204 : 405))
    #expect(response.headers["allow"] == allow)
  }

  @Test func answersWithContextAndParameters() async throws {
    let response = try await router().respond(
      to: HTTPRequest(method: .get, target: "/device/id/9?x=1"), context: "c")
    guard case .bytes(let bytes) = response.body else {
      Issue.record("no body")
      return
    }
    #expect(String(decoding: bytes, as: UTF8.self) == #"c device/id/{id} [(key: "id", value: "9")]"#)
    let nothing = try await router().respond(to: HTTPRequest(method: .get, target: "/no"), context: "c")
    #expect(nothing.status == 404)
  }

  @Test func groupsAndLists() {
    var router = Router<Void>()
    router.group("api/v1") { api in
      api.get("devices") { _, _ in HTTPResponse() }
      api.group("/devices/{deviceId}/") { $0.post("/commands") { _, _ in HTTPResponse() } }
    }
    router.patch("x") { _, _ in HTTPResponse() }
    #expect(
      router.routes.map { "\($0.method) \($0.template)" } == [
        "GET /api/v1/devices", "POST /api/v1/devices/{deviceId}/commands", "PATCH /x",
      ])
  }
}
