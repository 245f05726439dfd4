import Loop
import Observability
import Postgres
import Runtime

/// The settings of the registry.
public struct RegistrySettings: Sendable {
  public let common: CommonSettings
  public let rootKey: String
  public let broker: String

  public init(_ settings: inout SettingsReader) {
    common = CommonSettings(&settings, service: "registry")
    rootKey = settings.secret(
      "root-key",
      help: "The root key: creates organisations and their first keys, and may act in any of them.")
    broker = settings.string(
      "broker-name", default: "mosquitto", help: "What last routes call the broker that devices connect to.")
  }
}

extension RegistryService {
  /// Builds the service and runs it until SIGTERM.
  public static func run(_ settings: RegistrySettings, on loop: EventLoop) async throws {
    let runtime = try ServiceRuntime(service: "registry", settings: settings.common, loop: loop)
    let registry = RegistryService(
      runtime: runtime, broker: settings.broker, rootKey: settings.rootKey)
    let inbox = UplinkInbox(registry: registry)
    var reading = BatchConsumer.Configuration(name: "state", topic: .deviceUplink)
    // Nobody waits for the state: few large batches cost the least.
    reading.maximumBatch = 5000
    reading.gathering = .milliseconds(250)
    let states = runtime.consumer(reading) { try await inbox.apply($0, $1) }
    var api = API(
      authenticator: Authenticator(
        rootKey: settings.rootKey, loop: loop, store: APIKeyTable(database: runtime.database)),
      logger: runtime.logger, metrics: runtime.metrics)
    api.registry(registry)
    try await runtime.run(
      migrations: migrations,
      services: [("state", states), ("idempotency-sweeper", IdempotencySweeper(runtime))], api: api,
      openAPI: PackageResources.openapi_yaml)
  }

  static let migrations = [
    (set: "idempotency", migrations: Idempotency.migrations),
    (
      set: "registry",
      migrations: [PostgresMigration("V0001_registry", embedded: PackageResources.V0001_registry_sql)]
    ),
  ]
}
