import HTTP
import Kafka
import Loop
import Observability
import Postgres
import Runtime
import Wire

/// The bridge's settings.
public struct BridgeSettings: Sendable {
  public let common: CommonSettings
  public let mqtt: MqttSettings

  public init(_ settings: inout SettingsReader) {
    common = CommonSettings(&settings, service: "bridge")
    mqtt = MqttSettings(&settings)
  }
}

/// Carries what devices say from MQTT to Kafka, and what the services have for them from Kafka to MQTT.
public struct BridgeService: Sendable {
  private let runtime: ServiceRuntime
  private let uplink: UplinkSessions
  private let downlink: DownlinkConsumer
  private let announcer: BrokerAnnouncer

  /// - Throws: a setting that cannot work.
  public init(settings: BridgeSettings, loop: EventLoop) throws {
    let runtime = try ServiceRuntime(service: "bridge", settings: settings.common, loop: loop)
    let replica = settings.common.replica
    let metrics = BridgeMetrics(runtime.metrics)
    let producer = ConfirmedProducer(loop: loop, producer: runtime.producer, logger: runtime.logger)
    let announcer = BrokerAnnouncer(loop: loop, producer: producer, metrics: metrics)
    let answers = AnswerFilterTable(
      database: runtime.database, logger: runtime.logger.labelled("answer-filters"))
    let session = DownlinkSession(
      loop: loop, configuration: settings.mqtt.downlink(replica: replica),
      watch: BrokerWatch(bound: settings.mqtt.queueBytes, metrics: metrics, logger: runtime.logger),
      logger: runtime.logger,
      onConnect: { announcer.brokerConnected() })
    let downlink = try DownlinkConsumer(
      loop: loop, kafka: runtime.kafka, replica: replica, session: session, announcer: announcer,
      answers: answers, producer: producer, metrics: metrics,
      logger: runtime.logger)
    let uplink = UplinkSessions(
      loop: loop, leases: UplinkLeases(database: runtime.database, me: .v7(), replica: replica),
      answers: answers, settings: settings.mqtt,
      handler: UplinkHandler(producer: producer, metrics: metrics, logger: runtime.logger.labelled("uplink")),
      metrics: metrics, logger: runtime.logger, isConnected: { session.isConnected })
    runtime.health.register("mqtt-uplink") { uplink.notReady() }
    runtime.health.register("mqtt-downlink") {
      session.isConnected ? nil : "not connected to the MQTT broker"
    }
    runtime.health.register("consumer-downlink") { downlink.notReady() }
    (self.runtime, self.uplink, self.downlink, self.announcer) = (runtime, uplink, downlink, announcer)
  }

  /// Runs until SIGTERM.
  public func run() async throws {
    try await runtime.run(
      migrations: [("bridge", Self.migrations)],
      services: [("uplink", uplink), ("announcer", announcer), ("downlink", downlink)],
      api: API(authenticator: nil, logger: runtime.logger, metrics: runtime.metrics),
      openAPI: PackageResources.openapi_yaml)
  }

  private static let migrations = [
    PostgresMigration("V0001_client_slot", embedded: PackageResources.V0001_client_slot_sql),
    PostgresMigration("V0002_uplink_session", embedded: PackageResources.V0002_uplink_session_sql),
    PostgresMigration("V0003_answer_filter", embedded: PackageResources.V0003_answer_filter_sql),
  ]
}
