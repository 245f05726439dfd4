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
  let live: LiveEvents.Limits

  public init(_ settings: inout SettingsReader) {
    common = CommonSettings(&settings, service: "commands")
    rootKey = settings.secret("root-key", help: "The root key, which may act in every organisation.")
    directoryDelay = .milliseconds(
      settings.int(
        "directory-delay-ms", default: 0, in: 0...60_000,
        help: "Slows this service's copy of the registry down, for tests of what happens when it lags."))
    var live = LiveEvents.Limits()
    live.readers = settings.int(
      "live-readers", default: live.readers, in: 0...4000,
      help: "The most streams of events that are open at a time, of 4096 connections in all.")
    live.readersOfOrganisation = settings.int(
      "live-readers-of-organisation", default: live.readersOfOrganisation, in: 1...4000,
      help: "The most of them that one organisation has.")
    self.live = live
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
        PostgresMigration("V0007_progress", embedded: PackageResources.V0007_progress_sql),
        PostgresMigration("V0008_retry", embedded: PackageResources.V0008_retry_sql),
        PostgresMigration("V0009_presence", embedded: PackageResources.V0009_presence_sql),
        PostgresMigration("V0010_lanes", embedded: PackageResources.V0010_lanes_sql),
        PostgresMigration("V0013_campaigns", embedded: PackageResources.V0013_campaigns_sql),
        PostgresMigration("V0017_own_protocol", embedded: PackageResources.V0017_own_protocol_sql),
        PostgresMigration("V0018_kept_text", embedded: PackageResources.V0018_kept_text_sql),
      ]
    ),
  ]

  /// Builds the service and runs it until SIGTERM.
  public static func run(_ settings: CommandsSettings, on loop: EventLoop) async throws {
    let runtime = try ServiceRuntime(
      service: "commands", settings: settings.common, loop: loop, reading: .inPassing,
      planner: ServiceRuntime.keyLookupPlans)
    let (directory, entities) = DeviceDirectory.make(runtime, delay: settings.directoryDelay)
    let service = CommandsService(runtime: runtime, directory: directory, live: settings.live)
    let dispatcher = TurnDispatcher(
      service: service, logger: runtime.logger.labelled("turn-dispatcher"))
    let sweeper = DeadlineSweeper(
      service: service, logger: runtime.logger.labelled("deadline-sweeper"), loop: loop)
    let inbox = UplinkInbox(service: service)
    let uplinks = runtime.consumer(.init(name: "uplink", topic: .deviceUplink)) {
      try await inbox.apply($0, $1)
    }
    let selections = runtime.consumer(.init(name: "selection", topic: .deviceSelected)) {
      try await SelectionInbox(service: service).apply($0, $1)
    }
    let campaigns = CampaignRunner(
      service: service, logger: runtime.logger.labelled("campaign-runner"))
    let uses = KeyUses(runtime)
    var api = API(
      authenticator: Authenticator(rootKey: settings.rootKey, loop: loop, store: directory, uses: uses),
      logger: runtime.logger,
      metrics: runtime.metrics)
    api.commands(service)
    try await runtime.run(
      migrations: migrations,
      services: [
        ("directory", entities), ("uplink", uplinks), ("deadline-sweeper", sweeper),
        ("turn-dispatcher", dispatcher), ("selection", selections), ("campaign-runner", campaigns),
        ("live-events", service.live), ("key-uses", uses),
        ("idempotency-sweeper", IdempotencySweeper(runtime)),
      ], api: api, openAPI: PackageResources.openapi_yaml)
  }
}
