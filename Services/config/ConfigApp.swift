import Directory
import Loop
import Postgres
import Runtime

/// The settings of the config service.
public struct ConfigSettings: Sendable {
  let common: CommonSettings
  let rootKey: String
  let directoryDelay: Duration
  let objects: ObjectSettings

  public init(_ settings: inout SettingsReader) {
    common = CommonSettings(&settings, service: "config")
    rootKey = settings.secret(
      "root-key", help: "The root key: creates organisations and may act in any of them.")
    directoryDelay = .milliseconds(
      settings.int(
        "directory-delay-ms", default: 0, in: 0...60_000,
        help: "For tests: slows the copy of the registry down by so much for each batch."))
    objects = ObjectSettings(&settings)
  }
}

extension ConfigService {
  static let migrations = [
    (set: "directory", migrations: DirectoryTables.migrations),
    (set: "idempotency", migrations: Idempotency.migrations),
    (
      set: "config",
      migrations: [
        PostgresMigration("V0001_config", embedded: PackageResources.V0001_config_sql),
        PostgresMigration("V0002_targets", embedded: PackageResources.V0002_targets_sql),
        PostgresMigration("V0003_history", embedded: PackageResources.V0003_history_sql),
        PostgresMigration("V0004_presence", embedded: PackageResources.V0004_presence_sql),
        PostgresMigration("V0005_plans", embedded: PackageResources.V0005_plans_sql),
        PostgresMigration("V0007_artefact_filters", embedded: PackageResources.V0007_artefact_filters_sql),
        PostgresMigration("V0008_upload", embedded: PackageResources.V0008_upload_sql),
        PostgresMigration("V0010_binding_commands", embedded: PackageResources.V0010_binding_commands_sql),
        PostgresMigration("V0011_broker_losses", embedded: PackageResources.V0011_broker_losses_sql),
      ]
    ),
  ]

  /// Builds the service and runs it until SIGTERM.
  public static func run(_ settings: ConfigSettings, on loop: EventLoop) async throws {
    let runtime = try ServiceRuntime(service: "config", settings: settings.common, loop: loop)
    let due = Wakeup(loop)
    let (directory, entities) = DeviceDirectory.make(
      runtime, delay: settings.directoryDelay,
      changed: ConfigService.devicesChanged(waking: due))
    let (objects, embedded) = try settings.objects.make(
      rootKey: settings.rootKey, loop: loop, logger: runtime.logger)
    let service = ConfigService(runtime, directory: directory, due: due, objects: objects)
    let inbox = UplinkInbox(service: service)
    let uplinks = runtime.consumer(UplinkInbox.configuration) { try await inbox.apply($0, $1) }
    let bindings = BindingInbox(service: service)
    let requests = runtime.consumer(.init(name: "binding-requests", topic: .configRequests)) {
      try await bindings.apply($0, $1)
    }
    let runner = BindingRunner(service: service, logger: runtime.logger.labelled("binding-runner"))
    let uses = KeyUses(runtime)
    var api = API(
      authenticator: Authenticator(rootKey: settings.rootKey, loop: loop, store: directory, uses: uses),
      logger: runtime.logger,
      metrics: runtime.metrics)
    api.config(service)
    if let embedded { api.objects(embedded) }
    let sweeper = DocumentSweeper(
      service: service, loop: loop, logger: runtime.logger.labelled("document-sweeper"))
    let resolver = DeviceResolver(service: service, logger: runtime.logger.labelled("device-resolver"))
    try await runtime.run(
      migrations: migrations,
      services: [
        ("directory", entities), ("uplink", uplinks), ("document-sweeper", sweeper),
        ("device-resolver", resolver), ("binding-requests", requests), ("binding-runner", runner),
        ("object-sweeper", ObjectSweeper(service: service, loop: loop, logger: runtime.logger)),
        ("key-uses", uses), ("idempotency-sweeper", IdempotencySweeper(runtime)),
      ],
      api: api, openAPI: PackageResources.openapi_yaml,
      streamedBodies: .init(
        prefix: [ObjectSettings.embeddedPrefix], maximumBytes: settings.objects.limits.maximumBytes))
  }
}
