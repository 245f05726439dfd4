import Directory
import FoundationEssentials
import HTTP
import Kafka
import Loop
import Observability
import Postgres
import TestSupport
import Wire

@testable import ConfigService
@testable import Runtime

/// The config service on a real PostgreSQL and Kafka, without its consumers and its relay: tests hand it uplinks
/// themselves and look into the outbox.
final class Fixture: Sendable {
  let runtime: ServiceRuntime
  let service: ConfigService
  let api: API
  private let pool: Task<Void, any Error>

  static func shared() async throws -> Fixture { try await common.value }
  private static let common = Task { try await Fixture.fresh() }

  /// One on a database of its own.
  static func fresh() async throws -> Fixture {
    try await Fixture(url: PostgresServer.shared().createDatabase("config"))
  }

  /// - Parameters:
  ///   - url: of the database; two fixtures on one are two replicas.
  ///   - given: another Kafka than the tests', which need not be there.
  ///   - store: settings of the object store; without any, files in a folder of the tests.
  init(url: String, kafka given: String? = nil, store: Store? = nil) async throws {
    let store = if let store { store } else { try Store.embedded() }
    let kafka = if let given { given } else { try await KafkaServer.shared().bootstrapServers }
    var reader = SettingsReader(
      program: "tests", about: "",
      arguments: ["--kafka-bootstrap", kafka, "--log-level", "error", "--replica", UUID().text]
        + store.arguments,
      environment: ["MARTLET_DATABASE_URL": url, "MARTLET_S3_SECRET_KEY": Store.secret])
    let settings = CommonSettings(&reader, service: "config")
    let objectSettings = ObjectSettings(&reader)
    try reader.finish()
    let loop = EventLoop.start("config-test")
    let runtime = try ServiceRuntime(service: "config", settings: settings, loop: loop)
    let database = runtime.database
    pool = Task { try await database.run() }
    for (set, migrations) in [(set: "runtime", migrations: Outbox.migrations)] + ConfigService.migrations {
      _ = try await database.migrate(migrations, set: set)
    }
    if given == nil {
      let admin = try KafkaAdmin(configuration: runtime.kafka, loop: loop, logger: runtime.logger)
      try await admin.createTopics([
        KafkaNewTopic(name: KafkaTopic.registryEntities.rawValue, partitions: KafkaTopic.partitions)
      ])
    }
    // The copy of the registry is written by hand, and so is complete.
    try await database.query(
      """
      INSERT INTO consumer_offset (consumer, topic, "partition", next_offset)
      SELECT 'directory', \(KafkaTopic.registryEntities.rawValue), n, \(Int64.max) FROM generate_series(0, 63) n
      ON CONFLICT DO NOTHING
      """)
    let (directory, _) = DeviceDirectory.make(runtime)
    let (objects, embedded) = try objectSettings.make(
      rootKey: World.rootKey, loop: loop, logger: runtime.logger)
    service = ConfigService(runtime, directory: directory, due: Wakeup(loop), objects: objects)
    var api = API(
      authenticator: Authenticator(
        rootKey: World.rootKey, loop: loop, store: directory, uses: KeyUses(runtime)),
      logger: runtime.logger,
      metrics: runtime.metrics)
    api.config(service)
    if let embedded { api.objects(embedded) }
    self.api = api
    self.runtime = runtime
  }

  deinit { pool.cancel() }

  /// Hands uplinks of one device to the consumer's code, in a transaction, as `BatchConsumer` does.
  func uplink(_ deviceId: String, _ uplinks: [Uplink], at time: Date = .now) async throws {
    let messages = uplinks.enumerated().map { offset, uplink in
      KafkaMessage(
        topic: KafkaTopic.deviceUplink.rawValue, partition: 0, offset: Int64(offset),
        key: Array(deviceId.utf8),
        value: uplink.json.bytes, headers: [KafkaHeader(EventHeader.type, uplink.kind.rawValue)],
        timestamp: Int64(time.timeIntervalSince1970 * 1000))
    }
    let rejected = try await apply(messages)
    if !rejected.isEmpty { throw TestSupportError("rejected: \(rejected)") }
  }

  /// - Returns: why some were set aside.
  func apply(_ messages: [KafkaMessage]) async throws -> [String] {
    let inbox = UplinkInbox(service: service)
    return try await runtime.database.withTransaction {
      try await inbox.apply(messages, $0).rejected.map(\.reason)
    }
  }

  /// What the registry tells, applied as the consumer of its topic does.
  func registry(_ records: [EntityRecord]) async throws {
    let changed = ConfigService.devicesChanged(waking: service.due)
    try await runtime.database.withTransaction {
      try await DeviceDirectory.apply(records, $0, changed: changed)
    }
  }

  /// Resolves all that is due.
  func settle() async throws {
    while try await service.spreadDue() {}
    while try await service.resolveDue(limit: 100) > 0 {}
  }

  /// What waits in the outbox for one key, in order.
  func outbox(_ key: String, _ topic: KafkaTopic) async throws -> [(type: String, json: JSON)] {
    try await runtime.database.query("SELECT records FROM outbox ORDER BY id").decode([UInt8].self)
      .flatMap { try PackedRecords.unpack($0) }.compactMap(\.self)
      .filter { $0.key == key && $0.topic == topic }
      .map { ($0.type, try JSON(parsing: $0.payload ?? [])) }
  }
}

/// An answer, its body read.
struct Answer: Sendable {
  let status: Int
  let headers: HTTPFields
  let bytes: [UInt8]
  let json: JSON

  /// The revision in its ETag.
  var rev: Int? { headers["ETag"]?.dropFirst().split(separator: "-").first.flatMap { Int($0) } }

  /// The ETag of another revision of the same object.
  func tag(_ rev: Int) -> String {
    "\"\(rev)-" + (headers["ETag"]?.split(separator: "-").last.map(String.init) ?? "none\"")
  }

  /// The pointers of a problem's faults.
  var pointers: [String] { json["errors"]?.array?.compactMap { $0["pointer"]?.string } ?? [] }
}

/// Two organisations that know nothing of each other, with keys, boards and devices of their own.
struct World: Sendable {
  static let rootKey = "root-key-of-the-tests"

  let fixture: Fixture
  let ours = UUID.v7()
  let theirs = UUID.v7()
  let board = UUID.v7()
  let otherBoard = UUID.v7()
  let publicBoard = UUID.v7()
  let theirBoard = UUID.v7()
  let device: DeviceEntity
  let theirDevice: DeviceEntity
  let keys: [Role: String]
  let theirKey: String

  /// - Parameter own: a fixture that no other test uses.
  init(on own: Fixture? = nil) async throws {
    fixture = if let own { own } else { try await .shared() }
    func device(_ organisation: UUID, _ board: UUID) -> DeviceEntity {
      DeviceEntity(
        id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: "mcu-\(Identifier.randomDeviceId())",
        soc: "esp32",
        boardId: board, organisationId: organisation, rev: 1)
    }
    self.device = device(ours, board)
    theirDevice = device(theirs, theirBoard)
    keys = Dictionary(uniqueKeysWithValues: Role.allCases.map { ($0, "\($0)-\(UUID().text)") })
    theirKey = "their-\(UUID().text)"
    try await add(self.device)
    try await add(theirDevice)
    for (id, organisation, isPublic) in [
      (board, ours, false), (otherBoard, ours, false), (publicBoard, theirs, true),
      (theirBoard, theirs, false),
    ] {
      try await add(
        BoardEntity(
          id: id, organisationId: organisation, soc: "esp32", isPublic: isPublic, deviceType: nil,
          configSchemas: [:],
          commandCatalogue: [:], rev: 1))
    }
    for (role, key) in keys { try await add(key, role, ours) }
    try await add(theirKey, .admin, theirs)
  }

  func add(_ device: DeviceEntity) async throws { try await tell(.device(device)) }

  /// A board of ours whose slots have these schemas.
  func board(_ schemas: JSONObject, rev: Int64 = 1) async throws -> UUID {
    let id = UUID.v7()
    try await add(
      BoardEntity(
        id: id, organisationId: ours, soc: "esp32", isPublic: false, deviceType: nil, configSchemas: schemas,
        commandCatalogue: [:], rev: rev))
    return id
  }

  /// A sensor profile whose slots have these schemas.
  func sensorProfile(_ schemas: JSONObject = [:], of organisation: UUID? = nil) async throws -> UUID {
    let profile = SensorProfileEntity(
      id: .v7(), organisationId: organisation ?? ours, name: "IMU", configSchemas: schemas, rev: 1)
    try await tell(.sensorProfile(profile))
    return profile.id
  }

  /// Another revision of a board of ours, with these schemas.
  func change(_ board: UUID, schemas: JSONObject, rev: Int64 = 2) async throws {
    try await add(
      BoardEntity(
        id: board, organisationId: ours, soc: "esp32", isPublic: false, deviceType: nil,
        configSchemas: schemas,
        commandCatalogue: [:], rev: rev))
  }

  /// The registry says so.
  func tell(_ entities: Entity...) async throws { try await fixture.registry(entities.map { .present($0) }) }

  func add(_ board: BoardEntity) async throws { try await tell(.board(board)) }

  private func add(_ key: String, _ role: Role, _ organisation: UUID) async throws {
    try await fixture.runtime.database.query(
      """
      INSERT INTO directory_api_key (id, hash, organisation_id, name, role, rev)
      VALUES (\(UUID.v7()), encode(sha256(\(Array(key.utf8))::bytea), 'hex'), \(organisation), 'test',
              \(role.rawValue), 1)
      """)
  }

  /// Asks with a key of ours.
  func ask(
    _ method: HTTPMethod, _ path: String, as role: Role = .admin, _ body: JSON? = nil,
    _ headers: HTTPFields = [:]
  ) async throws -> Answer {
    try await ask(method, path, key: keys[role], body?.bytes ?? [], headers)
  }

  /// Asks with any key, or none.
  func ask(
    _ method: HTTPMethod, _ path: String, key: String?, _ body: [UInt8] = [], _ headers: HTTPFields = [:]
  ) async throws -> Answer {
    var headers = headers
    if let key { headers["X-API-Key"] = key }
    let response = await fixture.api.respond(
      to: HTTPRequest(method: method, target: path, headers: headers, body: body))
    guard case .bytes(let bytes) = response.body, response.headers["Content-Type"]?.contains("json") == true
    else {
      return Answer(status: response.status, headers: response.headers, bytes: [], json: .null)
    }
    return Answer(
      status: response.status, headers: response.headers, bytes: bytes, json: try JSON(parsing: bytes))
  }

  /// Makes an artefact and gives its answer.
  func artefact(
    _ content: JSON = ["ssid": "x"], slot: String = "wifi", board: UUID? = nil
  ) async throws -> JSON {
    let answer = try await ask(
      .post, "/api/v1/config-artefacts", draft(content, slot: slot, board: board ?? self.board))
    guard answer.status == 201 else { throw TestSupportError("no artefact: \(answer.json.text)") }
    return answer.json
  }

  func draft(_ content: JSON = ["ssid": "x"], slot: String = "wifi", board: UUID) -> JSON {
    [
      "slot": .string(slot), "profile": ["type": "DEVICE_PROFILE", "id": .string(board.text)],
      "content": content,
    ]
  }

  /// Binds an artefact to our device.
  func bind(_ artefact: JSON, slot: String = "wifi", to device: DeviceEntity? = nil) async throws -> Answer {
    try await ask(
      .put, "/api/v1/desired-state-bindings", as: .operator,
      binding(artefact, slot: slot, to: device?.deviceId))
  }

  func binding(_ artefact: JSON, slot: String = "wifi", to device: String? = nil) -> JSON {
    [
      "target": ["type": "DEVICE", "id": .string(device ?? self.device.deviceId)], "slot": .string(slot),
      "artefactId": artefact["id"] ?? .null,
    ]
  }

  /// One slot of our device's desired state.
  func state(_ slot: String = "wifi") async throws -> JSON? {
    try await ask(.get, "/api/v1/devices/\(device.deviceId)/desired-state", as: .viewer).json["slots"]?[slot]
  }
}
