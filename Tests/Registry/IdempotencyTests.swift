import FoundationEssentials
import HTTP
import Loop
import Observability
import Postgres
import Testing
import Wire

@testable import RegistryService
@testable import Runtime

@Suite("Idempotency-Key")
struct IdempotencyTests {
  private func post(_ path: String, _ body: JSON, key: String, as role: String = "admin") async throws
    -> Answer
  {
    try await World.shared().send("POST", path, body: body, as: role, headers: ["Idempotency-Key": key])
  }

  private func mcuId() -> String { "m-\(UUID.v7().text.suffix(12))" }

  @Test(
    "every POST that creates gives its first answer again, headers and all, and creates nothing",
    arguments: [
      ("organisation", ["name": "Twice"], "root"), ("board", ["name": "Twice", "soc": "s"], "admin"),
      ("apiKey", ["name": "Twice", "role": "viewer"], "admin"),
      ("device", ["boardId": "{board}", "mcuId": "twice"], "operator"),
      ("network", ["name": "Twice", "key": "00", "networkId": 1], "admin"),
      ("sensorProfile", ["name": "Twice"], "admin"), ("group", ["name": "Twice"], "admin"),
      ("group", ["name": "Twice", "query": ["filter": "mcuId==nobody"]], "admin"),
    ] as [(String, JSON, String)])
  func again(_ path: String, _ body: JSON, _ role: String) async throws {
    let world = try await World.shared()
    let key = UUID.v7().text
    let first = try await post(path, body, key: key, as: role)
    let second = try await post(path, body, key: key, as: role)
    #expect(first.status == 201)
    #expect(second.status == 201)
    #expect(first.json == second.json)
    #expect(first.headers["ETag"] == second.headers["ETag"])
    if first.json["role"] != nil, let secret = first.json["key"]?.string {
      #expect(await world.send("GET", "whoami", as: secret).status == 200)
      let stored = try await world.database.query(
        "SELECT convert_from(body, 'UTF8') FROM idempotency_key WHERE key = \(key)")
      let text = try #require(try stored.first?.decode(String.self))
      #expect(!text.contains(secret.dropFirst(3)), "the key itself is nowhere stored")
    }
  }

  @Test("bodies are compared as JSON values; another body, or another path, is 422")
  func others() async throws {
    let key = UUID.v7().text
    let id = mcuId()
    let body: JSON = ["boardId": "{board}", "mcuId": .string(id), "metadata": ["a": "1", "b": "2"]]
    let first = try await post("device", body, key: key)
    let turned: JSON = ["metadata": ["b": "2", "a": "1"], "mcuId": .string(id), "boardId": "{board}"]
    #expect(try await post("device", turned, key: key).json == first.json)
    #expect(
      try await post("device", ["boardId": "{board}", "mcuId": .string(mcuId())], key: key).status == 422)
    #expect(try await post("board", body, key: key).status == 422)
    #expect(try await post("device?organisationId={other}", body, key: key).status == 422)
  }

  @Test("the key of another organisation is another key")
  func organisations() async throws {
    let key = UUID.v7().text
    let body: JSON = ["name": "k", "role": "viewer"]
    let mine = try await post("apiKey", body, key: key)
    let theirs = try await post("apiKey", body, key: key, as: "stranger")
    #expect(mine.status == 201 && theirs.status == 201)
    #expect(mine.json["id"] != theirs.json["id"])
  }

  @Test("a refused request leaves its key free")
  func refused() async throws {
    let key = UUID.v7().text
    let id = mcuId()
    #expect(try await post("device", ["boardId": "{board}", "mcuId": ""], key: key).status == 422)
    #expect(try await post("device", ["boardId": "{board}", "mcuId": "first"], key: key).status == 409)
    #expect(try await post("device", ["boardId": "{nobody}", "mcuId": .string(id)], key: key).status == 404)
    #expect(try await post("device", ["boardId": "{board}", "mcuId": .string(id)], key: key).status == 201)
  }

  @Test("what is no key", arguments: ["", " ", "a b", "ä", String(repeating: "k", count: 256)])
  func bad(_ key: String) async throws {
    #expect(try await post("board", ["name": "b", "soc": "s"], key: key).status == 400)
  }

  @Test("while the first one runs, 409; when it has failed, the key is free")
  func running() async throws {
    let world = try await World.shared()
    let key = String(repeating: "k", count: 255 - 36) + UUID.v7().text
    let body: JSON = ["name": "b", "soc": "s"]
    let organisation = try #require(UUID(text: world.names["mine"] ?? ""))
    let context = RequestContext(
      principal: .key(id: .v7(), organisationId: organisation, name: "k", role: .admin),
      trace: TraceContext(),
      logger: Logger(label: "test", level: .error))
    let held = try #require(
      try IdempotencyKey(
        HTTPRequest(
          method: .post, target: "/board", headers: ["Idempotency-Key": key], body: body.bytes), context))
    try await world.database.withConnection { connection in
      try await connection.query("BEGIN")
      try await connection.query(Idempotency.lock(held))
      let answer = try await post("board", body, key: key)
      #expect(answer.status == 409)
      #expect(answer.headers["Retry-After"] != nil)
      try await connection.query("ROLLBACK")
    }
    #expect(try await post("board", body, key: key).status == 201)
  }

  @Test("many at the same time make one")
  func concurrent() async throws {
    let world = try await World.shared()
    let key = UUID.v7().text
    let name = "once-\(key)"
    let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
      for _ in 0..<20 {
        group.addTask { try await post("board", ["name": .string(name), "soc": "s"], key: key) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(answers.allSatisfy { $0.status == 201 || $0.status == 409 })
    #expect(Set(answers.filter { $0.status == 201 }.compactMap { $0.json["id"]?.string }).count == 1)
    let rows = try await world.database.query("SELECT count(*) FROM board WHERE name = \(name)")
    #expect(try rows.first?.decode(Int64.self) == 1)
  }

  @Test("another replica, and one after a restart, gives the same answer")
  func replicas() async throws {
    let world = try await World.shared()
    let key = UUID.v7().text
    let body: JSON = ["name": "k", "role": "viewer"]
    let first = try await post("apiKey", body, key: key)
    // Another process would share no more than the database and the root key.
    let (loop, logger) = (EventLoop.start("replica"), Logger(label: "test", level: .error))
    var api = API(
      authenticator: Authenticator(
        rootKey: World.rootKey, loop: loop, store: APIKeyTable(database: world.database),
        uses: KeyUses(loop, logger) { _ in }),
      logger: logger, metrics: Metrics())
    api.registry(
      RegistryService(
        database: world.database, outbox: world.registry.outbox, broker: "b", rootKey: World.rootKey))
    let second = await api.send(
      "POST", "apiKey", body: body, key: world.names["admin"], headers: ["Idempotency-Key": key])
    #expect(second.status == 201)
    #expect(second.json == first.json)
  }

  @Test("after 24 h the key is free, and swept")
  func expiry() async throws {
    let world = try await World.shared()
    let key = UUID.v7().text
    let body: JSON = ["name": "b", "soc": "s"]
    let first = try await post("board", body, key: key)
    func age(_ hours: Int) async throws {
      try await world.database.query(
        "UPDATE idempotency_key SET created_at = now() - \(Int64(hours)) * interval '1 h' WHERE key = \(key)")
    }
    try await age(23)
    #expect(try await world.registry.idempotency.sweep(limit: 10) == 0)
    #expect(try await post("board", body, key: key).json == first.json)
    try await age(25)
    let second = try await post("board", body, key: key)
    #expect(second.status == 201 && second.json["id"] != first.json["id"])
    #expect(try await post("board", body, key: key).json == second.json)
    try await age(25)
    #expect(try await world.registry.idempotency.sweep(limit: 10) == 1)
  }
}
