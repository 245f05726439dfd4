import HTTP
import Kafka
import Loop
import Observability
import Postgres
import Wire

/// The settings that every service has.
public struct CommonSettings: Sendable {
  public let httpHost: String
  public let httpPort: Int
  public let databaseURL: String
  public let databaseSchema: String
  public let databaseConnections: Int
  public let kafkaBootstrap: String
  public let replica: String
  public let logLevel: Logger.Level
  public let maximumBody: Int

  public init(_ settings: inout SettingsReader, service: String) {
    httpHost = settings.string("http-host", default: "127.0.0.1", help: "The address to listen on.")
    httpPort = settings.int(
      "http-port", default: 8080, in: 0...65535, help: "The port to listen on; 0 takes any.")
    databaseURL = settings.secret(
      "database-url", help: "The database: postgresql://role:password@host:port/name.")
    databaseSchema = settings.string("database-schema", default: service, help: "The service's own schema.")
    databaseConnections = settings.int(
      "database-connections", default: 8, in: 3...100, help: "The most connections to the database.")
    kafkaBootstrap = settings.string("kafka-bootstrap", help: "Kafka's addresses: host:port, host:port.")
    replica = settings.string(
      "replica", default: "1",
      help:
        "A name for this replica that it keeps over restarts, so that it takes its partitions back at once.")
    logLevel = settings.word("log-level", default: .info, help: "The lowest level that is logged.")
    maximumBody = settings.int(
      "maximum-body-bytes", default: 1024 * 1024, in: 1024...(64 * 1024 * 1024),
      help: "The largest request body, in bytes.")
  }
}

/// What a service stands on: its clients, its health, its metrics, and the order in which all of it starts and ends.
public struct ServiceRuntime: Sendable {
  public let name: String
  /// Where everything of the service runs.
  public let loop: EventLoop
  public let settings: CommonSettings
  public let logger: Logger
  public let metrics: Metrics
  public let health: Health
  public let database: PostgresClient
  public let kafka: KafkaConfiguration
  public let producer: KafkaProducer
  public let outbox: OutboxRelay
  private let member: GroupMember

  /// The planner's settings of a service whose statements all find few rows by their keys.
  ///
  /// Planning anew at each call cost as much as the statement (1 ms of 2 for a command's insert, measured), so the
  /// plan is kept; and one that was kept while the tables were new must not read them whole when they are full.
  public static let keyLookupPlans = [
    (name: "plan_cache_mode", value: "force_generic_plan"), (name: "enable_seqscan", value: "off"),
    (name: "enable_hashjoin", value: "off"), (name: "enable_mergejoin", value: "off"),
  ]

  /// - Parameters:
  ///   - reading: at once, where somebody waits for records to be published.
  ///   - planner: server settings for the sessions of this service.
  /// - Throws: a setting that cannot work.
  public init(
    service name: String, settings: CommonSettings, loop: EventLoop,
    reading: KafkaProducer.Reading = .atOnce, planner: [(name: String, value: String)] = []
  ) throws {
    self.name = name
    self.loop = loop
    self.settings = settings
    let logger = Logger(label: name, level: settings.logLevel, metadata: ["replica": settings.replica])
    self.logger = logger
    metrics = Metrics()
    health = Health()
    let client = "martlet-\(name)-\(settings.replica)"
    var configuration = try PostgresConfiguration(
      url: settings.databaseURL, schema: settings.databaseSchema, applicationName: client,
      maximumConnections: settings.databaseConnections)
    configuration.settings = planner
    let database = PostgresClient(configuration: configuration, loop: loop, logger: logger)
    self.database = database
    kafka = KafkaConfiguration(
      bootstrapServers: settings.kafkaBootstrap, clientId: client,
      extra: ["message.max.bytes": "\(KafkaTopic.maximumRecordBytes)"])
    producer = try KafkaProducer(configuration: kafka, loop: loop, logger: logger, reading: reading)
    outbox = OutboxRelay(
      service: name, schema: settings.databaseSchema, loop: loop, database: database, producer: producer,
      logger: logger, metrics: metrics)
    member = GroupMember(
      service: name, instance: settings.replica, loop: loop, configuration: kafka, logger: logger)
    health.register("postgres") {
      do {
        _ = try await database.query("SELECT 1")
        return nil
      } catch { return "the database does not answer" }
    }
  }

  /// A consumer of this service, in readiness. All are to be made before the service runs: they share one client.
  public func consumer(
    _ configuration: BatchConsumer.Configuration, apply: @escaping BatchConsumer.Apply
  ) -> BatchConsumer {
    let consumer = BatchConsumer(
      configuration, member: member, loop: loop, database: database, logger: logger, metrics: metrics,
      outbox: outbox, apply: apply)
    health.register("consumer-\(configuration.name)") { await consumer.notReady() }
    return consumer
  }

  /// Runs the service until SIGTERM: database, migrations, relay, what the service adds, and last the HTTP server,
  /// which is the first to end.
  public func run(
    migrations: [(set: String, migrations: [PostgresMigration])],
    services: [(name: String, service: any Service)],
    api: API, openAPI: [UInt8], largeBodies: HTTPServerConfiguration.LargeBodies? = nil,
    streamedBodies: HTTPServerConfiguration.StreamedBodies? = nil
  ) async throws {
    var api = api
    operations(&api, openAPI: openAPI)
    let server = HTTPServer(
      configuration: HTTPServerConfiguration(
        host: settings.httpHost, port: settings.httpPort, maximumBodyBytes: settings.maximumBody,
        largeBodies: largeBodies, streamedBodies: streamedBodies,
        drainTimeout: .seconds(2)),
      loop: loop, logger: logger, handler: { [api] in await api.respond(to: $0) }, onRefusal: Self.refusal)
    let pool = loop.task(throwing: { [database] in try await database.run() })
    defer { pool.cancel() }
    for (set, migrations) in [("runtime", Outbox.migrations)] + migrations {
      let applied = try await database.migrate(migrations, set: set)
      if !applied.isEmpty {
        logger.info("migrated", ["set": set, "applied": applied.joined(separator: " ")])
      }
    }
    try server.start()
    logger.notice("listening", ["address": "\(settings.httpHost):\(server.port)"])
    let producer = producer
    let front = ClosureService(loop, atEnd: { await server.shutdown() })
    let back = ClosureService(loop, atEnd: { await producer.shutdown(timeout: .seconds(2)) })
    try await ServiceGroup(
      [("producer", back), ("outbox-relay", outbox)] + services + [("http", front)], loop: loop,
      logger: logger
    ).run()
    logger.notice("ended")
  }

  /// What every service answers beside its own routes.
  private func operations(_ api: inout API, openAPI: [UInt8]) {
    api.open("livez") { _, _ in .json(["status": "ok"]) }
    api.open("readyz") { [health] _, _ in
      let failures = await health.failures()
      let reasons = failures.reduce(into: JSONObject()) { $0[$1.name] = .string($1.reason) }
      return failures.isEmpty
        ? .json(["status": "ok"]) : .json(["status": "not ready", "notReady": .object(reasons)], status: 503)
    }
    api.open("metrics") { [metrics] _, _ in
      var response = HTTPResponse(status: 200, body: .bytes(Array(metrics.text().utf8)))
      response.headers["Content-Type"] = "text/plain; version=0.0.4"
      return response
    }
    api.open("openapi.yaml") { _, _ in
      var response = HTTPResponse(status: 200, body: .bytes(openAPI))
      response.headers["Content-Type"] = "application/yaml"
      return response
    }
  }

  private static func refusal(_ refusal: HTTPRefusal) -> HTTPResponse {
    Problem(refusal.status, refusal.detail).response
  }
}
