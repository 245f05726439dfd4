import Directory
import Loop
import Postgres
import Runtime

/// The settings of the config service.
public struct ConfigSettings: Sendable {
  let common: CommonSettings
  let rootKey: String
  let directoryDelay: Duration

  public init(_ settings: inout SettingsReader) {
    common = CommonSettings(&settings, service: "config")
    rootKey = settings.secret(
      "root-key", help: "The root key: creates organisations and may act in any of them.")
    directoryDelay = .milliseconds(
      settings.int(
        "directory-delay-ms", default: 0, in: 0...60_000,
        help: "For tests: slows the copy of the registry down by so much for each batch."))
  }
}

extension ConfigService {
  static let migrations = [
    (set: "directory", migrations: DirectoryTables.migrations),
    (set: "idempotency", migrations: Idempotency.migrations),
    (
      set: "config",
      migrations: [
        PostgresMigration("V0001_config", embedded: PackageResources.V0001_config_sql)
      ]
    ),
  ]

  /// Builds the service and runs it until SIGTERM.
  public static func run(_ settings: ConfigSettings, on loop: EventLoop) async throws {
    let runtime = try ServiceRuntime(service: "config", settings: settings.common, loop: loop)
    let (directory, entities) = DeviceDirectory.make(
      runtime, gathering: UplinkInbox.configuration.gathering, delay: settings.directoryDelay)
    let service = ConfigService(runtime, directory: directory)
    let inbox = UplinkInbox(service: service)
    let uplinks = runtime.consumer(UplinkInbox.configuration) { try await inbox.apply($0, $1) }
    var api = API(
      authenticator: Authenticator(rootKey: settings.rootKey, loop: loop, store: directory),
      logger: runtime.logger,
      metrics: runtime.metrics)
    api.config(service)
    let sweeper = DocumentSweeper(
      service: service, loop: loop, logger: runtime.logger.labelled("document-sweeper"))
    try await runtime.run(
      migrations: migrations,
      services: [
        ("directory", entities), ("uplink", uplinks), ("document-sweeper", sweeper),
        ("idempotency-sweeper", IdempotencySweeper(runtime)),
      ],
      api: api, openAPI: PackageResources.openapi_yaml)
  }
}
