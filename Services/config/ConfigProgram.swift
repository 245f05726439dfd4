import Directory
import Postgres
import Runtime

/// The settings of the config service.
public struct ConfigSettings: Sendable {
  let common: CommonSettings
  let rootKey: String
  let directoryDelay: Duration

  public init(_ settings: inout SettingsReader) {
    common = CommonSettings(&settings, service: "config")
    rootKey = settings.secret("root-key", help: "The root key: creates organisations and may act in any of them.")
    directoryDelay = .milliseconds(
      settings.int(
        "directory-delay-ms", default: 0, in: 0...60_000,
        help: "For tests: slows the copy of the registry down by so much for each batch."))
  }
}

/// The config service, put together.
public enum ConfigProgram {
  static let migrations = [
    (set: "directory", migrations: DirectoryTables.migrations),
    (
      set: "config",
      migrations: [
        PostgresMigration(
          name: "V0001_config", sql: String(decoding: PackageResources.V0001_config_sql, as: UTF8.self))
      ]
    ),
  ]

  /// Runs until SIGTERM.
  public static func run(_ settings: ConfigSettings) async throws {
    let runtime = try ServiceRuntime(service: "config", settings: settings.common)
    let (directory, directoryConsumer) = try DeviceDirectory.make(runtime, delay: settings.directoryDelay)
    let service = ConfigService(runtime, directory: directory)
    let uplink = try runtime.consumer(UplinkReader.configuration, apply: UplinkReader(service: service).apply)
    var api = API(
      authenticator: Authenticator(rootKey: settings.rootKey, store: directory), logger: runtime.logger,
      metrics: runtime.metrics)
    ConfigRoutes(service: service).add(to: &api)
    let sweeper = DocumentSweeper(service: service, logger: runtime.logger.labelled("document-sweeper"))
    try await runtime.run(
      migrations: migrations,
      services: [("directory", directoryConsumer), ("uplink", uplink), ("document-sweeper", sweeper)],
      api: api, openAPI: PackageResources.openapi_yaml)
  }
}
