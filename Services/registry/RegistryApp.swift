import Crypto
import FoundationEssentials
import Loop
import Observability
import Postgres
import Runtime

/// The settings of the registry.
public struct RegistrySettings: Sendable {
  public let common: CommonSettings
  public let rootKey: String
  public let broker: String
  public let certificate: (chain: String, key: String, days: Int)?

  public init(_ settings: inout SettingsReader) {
    common = CommonSettings(&settings, service: "registry")
    rootKey = settings.secret(
      "root-key",
      help: "The root key: creates organisations and their first keys, and may act in any of them.")
    broker = settings.string(
      "broker-name", default: "mosquitto", help: "What last routes call the broker that devices connect to.")
    let chain = settings.optional(
      "device-ca-certificate",
      help:
        "The authority that signs certificates of devices: its certificate, then those above it (PEM file).")
    let key = settings.optional("device-ca-key", help: "Its private key, without a passphrase (PEM file).")
    let days = settings.int(
      "device-certificate-days", default: 825, in: 1...36_500, help: "How long a device's certificate counts."
    )
    if (chain == nil) != (key == nil) {
      settings.fail("device-ca-certificate and device-ca-key belong together")
    }
    if let chain, let key { certificate = (chain, key, days) } else { certificate = nil }
  }
}

extension RegistryService {
  /// Builds the service and runs it until SIGTERM.
  public static func run(_ settings: RegistrySettings, on loop: EventLoop) async throws {
    let runtime = try ServiceRuntime(service: "registry", settings: settings.common, loop: loop)
    let certification = try settings.certificate.map { files in
      DeviceCertification(
        authority: try CertificateAuthority(
          chain: try String(contentsOfFile: files.chain, encoding: .utf8),
          privateKey: try String(contentsOfFile: files.key, encoding: .utf8)), days: files.days)
    }
    let registry = RegistryService(
      runtime: runtime, broker: settings.broker, rootKey: settings.rootKey, certification: certification)
    let inbox = UplinkInbox(registry: registry)
    var reading = BatchConsumer.Configuration(name: "state", topic: .deviceUplink)
    // Nobody waits for the state: few large batches cost the least.
    reading.maximumBatch = 5000
    reading.gathering = .milliseconds(100)
    let states = runtime.consumer(reading) { try await inbox.apply($0, $1) }
    let selector = SelectionRunner(
      registry: registry, loop: loop, logger: runtime.logger.labelled("selection-runner"))
    let selections = runtime.consumer(.init(name: "selection", topic: .deviceSelection)) {
      try await selector.apply($0, $1)
    }
    let configInbox = ConfigInbox()
    var hearing = BatchConsumer.Configuration(name: ConfigInbox.consumer, topic: .configEvents)
    hearing.maximumBatch = 5000
    let users = runtime.consumer(hearing) { try await configInbox.apply($0, $1) }
    let database = runtime.database
    let uses = KeyUses(loop, runtime.logger) { uses in
      try await database.withTransaction { try await APIKeyTable(database: $0).used(uses) }
    }
    let usesElsewhere = runtime.consumer(.init(name: KeyUsesInbox.consumer, topic: .keyUses)) {
      try await KeyUsesInbox().apply($0, $1)
    }
    var api = API(
      authenticator: Authenticator(
        rootKey: settings.rootKey, loop: loop, store: APIKeyTable(database: database), uses: uses),
      logger: runtime.logger, metrics: runtime.metrics)
    api.registry(registry)
    try await runtime.run(
      migrations: migrations,
      services: [
        ("state", states), ("selection", selections), ("selection-runner", selector),
        ("config-users", users),
        ("key-uses", uses), ("key-uses-elsewhere", usesElsewhere),
        ("idempotency-sweeper", IdempotencySweeper(runtime)),
        ("device-count-sweeper", DeviceCountSweeper(runtime)),
      ], api: api,
      openAPI: PackageResources.openapi_yaml,
      largeBodies: .init(
        paths: [["device", "import"]], maximumBytes: 64 << 20, maximumBytesAtOnce: 128 << 20))
  }

  static let migrations = [
    (set: "idempotency", migrations: Idempotency.migrations),
    (
      set: "registry",
      migrations: [
        PostgresMigration("V0001_registry", embedded: PackageResources.V0001_registry_sql),
        PostgresMigration("V0002_networks", embedded: PackageResources.V0002_networks_sql),
        PostgresMigration("V0003_components", embedded: PackageResources.V0003_components_sql),
        PostgresMigration("V0004_groups", embedded: PackageResources.V0004_groups_sql),
        PostgresMigration("V0005_filters", embedded: PackageResources.V0005_filters_sql),
        PostgresMigration("V0006_device_count", embedded: PackageResources.V0006_device_count_sql),
        PostgresMigration("V0009_board_users", embedded: PackageResources.V0009_board_users_sql),
        PostgresMigration("V0010_selections", embedded: PackageResources.V0010_selections_sql),
        PostgresMigration("V0011_route_time", embedded: PackageResources.V0011_route_time_sql),
        PostgresMigration("V0012_certificates", embedded: PackageResources.V0012_certificates_sql),
        PostgresMigration("V0013_config_users", embedded: PackageResources.V0013_config_users_sql),
        PostgresMigration("V0014_key_uses", embedded: PackageResources.V0014_key_uses_sql),
        PostgresMigration("V0015_kept_route", embedded: PackageResources.V0015_kept_route_sql),
        PostgresMigration("V0016_details", embedded: PackageResources.V0016_details_sql),
      ]
    ),
  ]
}
