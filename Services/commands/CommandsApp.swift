import Directory
import FoundationEssentials
import Loop
import Observability
import Postgres
import Runtime

/// The settings of the commands service.
public struct CommandsSettings: Sendable {
  public let common: CommonSettings
  public let rootKey: String
  public let directoryDelay: Duration

  public init(_ settings: inout SettingsReader) {
    common = CommonSettings(&settings, service: "commands")
    rootKey = settings.secret("root-key", help: "The root key, which may act in every organisation.")
    directoryDelay = .milliseconds(
      settings.int(
        "directory-delay-ms", default: 0, in: 0...60_000,
        help: "Slows this service's copy of the registry down, for tests of what happens when it lags."))
  }
}

extension CommandsService {
  static let migrations = [
    (set: "directory", migrations: DirectoryTables.migrations),
    (set: "idempotency", migrations: Idempotency.migrations),
    (
      set: "commands",
      migrations: [
        PostgresMigration("V0001_commands", embedded: PackageResources.V0001_commands_sql),
        PostgresMigration("V0002_statistics", embedded: PackageResources.V0002_statistics_sql),
        PostgresMigration("V0003_timeline_text", embedded: PackageResources.V0003_timeline_text_sql),
        PostgresMigration("V0004_device_record", embedded: PackageResources.V0004_device_record_sql),
        PostgresMigration("V0005_counts", embedded: PackageResources.V0005_counts_sql),
        PostgresMigration("V0006_turns", embedded: PackageResources.V0006_turns_sql),
      ]
    ),
  ]

  /// Builds the service and runs it until SIGTERM.
  public static func run(_ settings: CommandsSettings, on loop: EventLoop) async throws {
    let runtime = try ServiceRuntime(
      service: "commands", settings: settings.common, loop: loop, planner: ServiceRuntime.keyLookupPlans)
    let (directory, entities) = DeviceDirectory.make(runtime, delay: settings.directoryDelay)
    let service = CommandsService(runtime: runtime, directory: directory)
    let dispatcher = TurnDispatcher(
      service: service, loop: loop, logger: runtime.logger.labelled("turn-dispatcher"))
    let sweeper = DeadlineSweeper(
      service: service, dispatcher: dispatcher, logger: runtime.logger.labelled("deadline-sweeper"),
      loop: loop)
    let inbox = UplinkInbox(service: service, dispatcher: dispatcher)
    let uplinks = runtime.consumer(.init(name: "uplink", topic: .deviceUplink)) {
      try await inbox.apply($0, $1)
    }
    var api = API(
      authenticator: Authenticator(rootKey: settings.rootKey, loop: loop, store: directory),
      logger: runtime.logger,
      metrics: runtime.metrics)
    api.commands(service)
    try await runtime.run(
      migrations: migrations,
      services: [
        ("directory", entities), ("uplink", uplinks), ("deadline-sweeper", sweeper),
        ("turn-dispatcher", dispatcher), ("idempotency-sweeper", IdempotencySweeper(runtime)),
      ], api: api, openAPI: PackageResources.openapi_yaml)
  }
}
