import CommandsDomain
import Crypto
import Directory
import FoundationEssentials
import HTTP
import Kafka
import Loop
import Observability
import Postgres
import TestSupport
import Wire

@testable import CommandsService
@testable import Runtime

/// The commands service on a real PostgreSQL and Kafka, without its consumers, sweeper and relay: tests do their work
/// themselves and look into the tables.
final class Fixture: Sendable {
  static let rootKey = "root-key-of-the-tests"

  let runtime: ServiceRuntime
  let service: CommandsService
  let api: API
  let url: String
  private let pool: Task<Void, any Error>
  private let live: Task<Void, any Error>

  static func shared() async throws -> Fixture { try await common.value }
  private static let common = Task {
    try await Fixture(url: PostgresServer.shared().createDatabase("commands"))
  }

  /// - Parameter url: of the database; two fixtures on one are two replicas.
  init(url: String, live limits: LiveEvents.Limits = LiveEvents.Limits()) async throws {
    self.url = url
    let kafka = try await KafkaServer.shared().bootstrapServers
    var reader = SettingsReader(
      program: "tests", about: "",
      arguments: ["--kafka-bootstrap", kafka, "--log-level", "error", "--replica", UUID().text],
      environment: ["MARTLET_DATABASE_URL": url])
    let settings = CommonSettings(&reader, service: "commands")
    try reader.finish()
    let loop = EventLoop.start("commands-test")
    runtime = try ServiceRuntime(
      service: "commands", settings: settings, loop: loop, reading: .inPassing,
      planner: ServiceRuntime.keyLookupPlans)
    let database = runtime.database
    pool = Task { try await database.run() }
    for (set, migrations) in [(set: "runtime", migrations: Outbox.migrations)] + CommandsService.migrations {
      _ = try await database.migrate(migrations, set: set)
    }
    let admin = try KafkaAdmin(configuration: runtime.kafka, loop: loop, logger: runtime.logger)
    try await admin.createTopics([
      KafkaNewTopic(name: KafkaTopic.registryEntities.rawValue, partitions: KafkaTopic.partitions)
    ])
    try await admin.createTopics(
      LiveEvents.topics.map { KafkaNewTopic(name: $0.rawValue, partitions: KafkaTopic.partitions) })
    // The copy of the registry is written by hand, and so is complete.
    try await database.query(
      """
      INSERT INTO consumer_offset (consumer, topic, "partition", next_offset)
      SELECT 'directory', \(KafkaTopic.registryEntities.rawValue), n, \(Int64.max) FROM generate_series(0, 63) n
      ON CONFLICT DO NOTHING
      """)
    let (directory, _) = DeviceDirectory.make(runtime)
    let service = CommandsService(
      runtime: runtime, directory: directory, live: limits,
      // A busy machine is not a registry that is away.
      patience: .init(create: .seconds(60), dryRun: .seconds(60)))
    self.service = service
    live = loop.task(throwing: { try await service.live.run() })
    var api = API(
      authenticator: Authenticator(
        rootKey: Self.rootKey, loop: loop, store: directory, uses: KeyUses(runtime)),
      logger: runtime.logger, metrics: runtime.metrics)
    api.commands(service)
    self.api = api
  }

  deinit {
    pool.cancel()
    live.cancel()
  }

  /// Writes into the copy of the registry, as its consumer does.
  func tell(_ records: [EntityRecord]) async throws {
    try await runtime.database.withTransaction { try await DeviceDirectory.apply(records, $0) }
  }

  /// Asks as root, naming no organisation but what the target says.
  func root(_ method: HTTPMethod, _ target: String, _ body: JSON? = nil) async throws -> (
    status: Int, json: JSON
  ) {
    let response = await api.respond(
      to: HTTPRequest(
        method: method, target: target, headers: ["X-API-Key": Self.rootKey], body: body?.bytes ?? []))
    guard case .bytes(let bytes) = response.body else { return (response.status, .null) }
    return (response.status, try JSON(parsing: bytes))
  }

  /// What waits in the outbox for one key, in order.
  func outbox(_ key: String, _ topic: KafkaTopic) async throws -> [(type: String, json: JSON)] {
    try await runtime.database.query("SELECT records FROM outbox ORDER BY id").decode([UInt8].self)
      .flatMap { try PackedRecords.unpack($0) }.compactMap(\.self)
      .filter { $0.key == key && $0.topic == topic }
      .map { ($0.type, try JSON(parsing: $0.payload ?? [])) }
  }
}

/// An organisation with a board, a device, and keys.
struct World: Sendable {
  let fixture: Fixture
  let organisation: UUID
  let board: UUID
  let device: DeviceEntity

  init(
    on own: Fixture? = nil, deviceId: String = Identifier.randomDeviceId(), catalogue: JSONObject = [:],
    timeouts: JSONObject = [:]
  ) async throws {
    (organisation, board) = (.v7(), .v7())
    fixture = if let own { own } else { try await .shared() }
    device = DeviceEntity(
      id: .v7(), deviceId: deviceId, mcuId: "mcu-\(UUID().text.prefix(8))", soc: "esp32", boardId: board,
      organisationId: organisation, rev: 1)
    try await fixture.tell([
      .present(
        .board(
          BoardEntity(
            id: board, organisationId: organisation, soc: "esp32", isPublic: false, deviceType: nil,
            configSchemas: [:], commandCatalogue: catalogue, commandTimeouts: timeouts, rev: 1))),
      .present(.device(device)),
    ])
  }

  /// The same world, seen by another replica.
  init(_ world: World, on fixture: Fixture) {
    self.fixture = fixture
    (organisation, board, device) = (world.organisation, world.board, world.device)
  }

  /// Asks with a key, or as root, in this organisation.
  func ask(
    _ method: HTTPMethod, _ path: String, _ body: JSON? = nil, _ headers: HTTPFields = [:], key: String? = nil
  ) async throws -> (status: Int, json: JSON) {
    var headers = headers
    headers["X-API-Key"] = key ?? Fixture.rootKey
    var target = "/" + path
    if key == nil { target += (path.contains("?") ? "&" : "?") + "organisationId=\(organisation.text)" }
    let response = await fixture.api.respond(
      to: HTTPRequest(method: method, target: target, headers: headers, body: body?.bytes ?? []))
    guard case .bytes(let bytes) = response.body else { return (response.status, .null) }
    return (response.status, try JSON(parsing: bytes))
  }

  /// A key of this organisation.
  func key(_ role: Role) async throws -> String {
    let text = "key-\(UUID().text)"
    try await fixture.tell([
      .present(
        .apiKey(
          APIKeyEntity(
            id: .v7(), organisationId: organisation, name: "k", role: role, hash: SHA256.hash(text).hex,
            expiresAt: nil, rev: 1)))
    ])
    return text
  }

  /// What the bridge or the device says of a command, as the consumer of uplinks hears it.
  func report(_ id: String, _ event: CommandEvent, result: JSON? = nil) async throws {
    guard let id = UUID(text: id) else { throw TestSupportError("no id: \(id)") }
    let report = DeviceReport.command(id, CommandOccurrence(event, at: .now, result: result), answered: nil)
    try await fixture.runtime.database.applying {
      _ = try await fixture.service.apply([(device.deviceId, report)], on: $0)
    }
  }

  /// Makes a command and gives its id.
  @discardableResult
  func command(_ body: JSON = ["type": "REBOOT"], _ headers: HTTPFields = [:]) async throws -> String {
    let answer = try await ask(.post, "api/v1/devices/\(device.deviceId)/commands", body, headers)
    guard answer.status == 201, let id = answer.json["id"]?.string else {
      throw TestSupportError("no command: \(answer.status) \(answer.json.text)")
    }
    return id
  }
}

extension Fixture {
  /// Stores commands in a transaction of their own.
  func insert(_ new: [NewCommand], epoch: Int64) async throws -> CommandStore.Inserted {
    try await runtime.database.withTransaction { [outbox = runtime.outbox] in
      try await CommandStore.insert(new, epoch: epoch, telling: outbox, on: $0)
    }
  }
}
