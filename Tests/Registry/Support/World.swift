import Foundation
import HTTP
import Kafka
import Loop
import Observability
import Postgres
import RegistryDomain
import Runtime
import TestSupport
import Wire

@testable import RegistryService

/// The registry on real servers, without its own socket: a database of its own, the relay publishing to Kafka, two
/// organisations with what they need. Requests go through the router.
final class World: Sendable {
  static let rootKey = "root-of-the-tests"

  let registry: RegistryService
  let api: API
  let database: PostgresClient
  private let running: [Task<Void, any Error>]
  /// What stands for `{name}` in paths and bodies.
  let names: [String: String]

  /// The one that most tests share.
  static func shared() async throws -> World { try await common.value }
  private static let common = Task { try await World() }

  /// - Parameter bootstrap: another Kafka than the tests', also one that is not there; then nothing is in it yet.
  init(bootstrap: String? = nil, isCertifying: Bool = true) async throws {
    let kafka =
      if let bootstrap { KafkaConfiguration(bootstrapServers: bootstrap, clientId: "tests") } else {
        try await Self.kafka()
      }
    let logger = Logger(label: "test", level: .warning)
    let loop = EventLoop.start("registry-test")
    let database = PostgresClient(
      configuration: try PostgresConfiguration(
        url: try await PostgresServer.shared().createDatabase("registry"), schema: "registry",
        applicationName: "tests"), loop: loop, logger: logger)
    self.database = database
    for (set, migrations) in [(set: "runtime", migrations: Outbox.migrations)] + RegistryService.migrations {
      _ = try await database.migrate(migrations, set: set)
    }
    let metrics = Metrics()
    let outbox = OutboxRelay(
      service: "registry", schema: "registry", loop: loop, database: database,
      producer: try KafkaProducer(configuration: kafka, loop: loop, logger: logger),
      logger: logger, metrics: metrics)
    running = [Task { try await database.run() }, Task { try await outbox.run() }]
    registry = RegistryService(
      database: database, outbox: outbox, broker: "mosquitto", rootKey: Self.rootKey,
      certification: isCertifying ? try TestAuthority.certification() : nil,
      // A busy machine is not a Kafka that is away.
      patience: bootstrap == nil ? .seconds(60) : .seconds(2))
    var api = API(
      authenticator: Authenticator(
        rootKey: Self.rootKey, loop: loop, store: APIKeyTable(database: database),
        uses: KeyUses(loop, logger) { _ in }),
      logger: logger,
      metrics: metrics)
    api.registry(registry)
    self.api = api
    names = bootstrap == nil ? try await Self.populate(api) : ["root": Self.rootKey]
  }

  deinit { for task in running { task.cancel() } }

  /// The topics, on a broker that does not make them by itself.
  static func kafka() async throws -> KafkaConfiguration {
    let configuration = KafkaConfiguration(
      bootstrapServers: try await KafkaServer.shared().bootstrapServers, clientId: "tests")
    let admin = try KafkaAdmin(
      configuration: configuration, loop: .start("test"), logger: Logger(label: "test", level: .warning))
    try await admin.createTopics(KafkaTopic.allCases.map { KafkaNewTopic(name: $0.rawValue, partitions: 4) })
    await admin.shutdown()
    return configuration
  }

  /// Two organisations, `mine` with keys of all roles and `other`; boards and devices.
  private static func populate(_ api: API) async throws -> [String: String] {
    var names = ["root": rootKey, "nobody": UUID.v7().text]
    func make(_ name: String, _ path: String, _ body: JSON, field: String = "id") async throws {
      let answer = await api.send("POST", path, body: body.filled(names), key: rootKey)
      guard answer.status == 201, let value = answer.json[field]?.string else {
        throw TestSupportError("\(name): \(answer.status) \(answer.json.text)")
      }
      names[name] = value
    }
    try await make("mine", "organisation", ["name": "Mine"])
    try await make("other", "organisation", ["name": "Other"])
    for role in Role.allCases {
      let key: JSON = [
        "organisationId": "{mine}", "name": .string(role.rawValue), "role": .string(role.rawValue),
      ]
      try await make(role.rawValue, "apiKey", key, field: "key")
    }
    let stranger: JSON = ["organisationId": "{other}", "name": "stranger", "role": "admin"]
    try await make("stranger", "apiKey", stranger, field: "key")
    try await make("board", "board", ["organisationId": "{mine}", "name": "Board", "soc": "nrf52"])
    let open: JSON = ["organisationId": "{mine}", "name": "Open", "soc": "esp32", "public": true]
    try await make("publicBoard", "board", open)
    let network: JSON = ["organisationId": "{mine}", "name": "Network", "key": "00ff", "networkId": 1]
    try await make("network", "network", network)
    let openNetwork: JSON = [
      "organisationId": "{mine}", "name": "Open", "key": "AABBCC00", "networkId": 2, "public": true,
    ]
    try await make("publicNetwork", "network", openNetwork)
    try await make("profile", "sensorProfile", ["organisationId": "{mine}", "name": "Profile"])
    try await make("group", "group", ["organisationId": "{mine}", "name": "Group"])
    let device: JSON = ["organisationId": "{mine}", "boardId": "{board}", "mcuId": "first"]
    try await make("device", "device", device)
    let answer = await api.send("GET", "device/id/{device}".filled(names), key: rootKey)
    names["deviceId"] = answer.json["deviceId"]?.string
    return names
  }

  /// Sends a request; `{name}` in path, body and key stands for what the world has of that name.
  func send(
    _ method: String, _ path: String, body: JSON? = nil, as key: String? = "admin", headers: HTTPFields = [:]
  ) async -> Answer {
    await api.send(
      method, path.filled(names), body: body?.filled(names), key: key.map { names[$0] ?? $0 },
      headers: headers)
  }
}

/// What came back.
struct Answer: Sendable {
  let status: Int
  let headers: HTTPFields
  let json: JSON

  /// The revision in its ETag.
  var rev: Int? { headers["ETag"]?.dropFirst().split(separator: "-").first.flatMap { Int($0) } }

  /// The ETag of another revision of the same object.
  func tag(_ rev: Int) -> String {
    "\"\(rev)-" + (headers["ETag"]?.split(separator: "-").last.map(String.init) ?? "none\"")
  }

  var pointers: [String] { (json["errors"]?.array ?? []).compactMap { $0["pointer"]?.string } }
}

extension API {
  func send(
    _ method: String, _ path: String, body: JSON? = nil, key: String?, headers: HTTPFields = [:]
  ) async -> Answer {
    var headers = headers
    headers["X-API-Key"] = key
    let request = HTTPRequest(
      method: HTTPMethod(method), target: "/" + path, headers: headers, body: body?.bytes ?? [])
    let response = await respond(to: request)
    var json = JSON.null
    if case .bytes(let bytes) = response.body {
      json = (try? JSON(parsing: bytes, allowsAnyNumber: true)) ?? .null
    }
    return Answer(status: response.status, headers: response.headers, json: json)
  }
}

extension String {
  func filled(_ names: [String: String]) -> String {
    names.reduce(self) { $0.replacingOccurrences(of: "{\($1.key)}", with: $1.value) }
  }
}

extension JSON {
  func filled(_ names: [String: String]) -> JSON { (try? JSON(parsing: text.filled(names))) ?? .null }
}
