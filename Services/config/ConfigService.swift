import ConfigDomain
import Directory
import FoundationEssentials
import Loop
import Observability
import Postgres
import Runtime
import Wire

/// The one door of the config service: its use cases. Routes and Messaging call these and nothing else.
public struct ConfigService: Sendable {
  /// Who caused a change, and in which story.
  struct Author: Sendable {
    let name: String
    let traceparent: String

    init(_ context: RequestContext) {
      self.init(name: context.principal.name, traceparent: context.trace.traceparent)
    }

    init(name: String, traceparent: String) { (self.name, self.traceparent) = (name, traceparent) }
  }

  let database: PostgresClient
  let directory: DeviceDirectory
  let artefacts: ArtefactStore
  let schemas: ContentSchemas
  let uploads: UploadStore
  let objects: ObjectStore
  let bindings: BindingStore
  let configurations: ConfigurationStore
  let outbox: OutboxRelay
  /// Wakes who resolves.
  let due: Wakeup
  /// Wakes who does what commands ask for.
  let asked: Wakeup
  let idempotency: Idempotency
  let logger: Logger
  let presence = PresenceMemory()

  /// - Parameters:
  ///   - runtime: what the service stands on.
  ///   - due: wakes who resolves.
  ///   - objects: where large artefacts are.
  init(_ runtime: ServiceRuntime, directory: DeviceDirectory, due: Wakeup, objects: ObjectStore) {
    database = runtime.database
    self.directory = directory
    artefacts = ArtefactStore(database: runtime.database)
    uploads = UploadStore(database: runtime.database)
    self.objects = objects
    schemas = ContentSchemas(directory: directory)
    bindings = BindingStore(database: runtime.database)
    configurations = ConfigurationStore(database: runtime.database)
    outbox = runtime.outbox
    self.due = due
    asked = Wakeup(runtime.loop)
    idempotency = Idempotency(database: runtime.database)
    logger = runtime.logger
  }

  /// A device that the caller names.
  /// - Parameter organisation: nil for any.
  /// - Throws: 404, or 409 naming both if its `mcuId` fits two.
  func device(_ reference: String, in organisation: UUID?) async throws -> DeviceEntity {
    switch try await directory.device(reference, in: organisation) {
    case .one(let device): return device
    case .none: throw Problem.notFound("device")
    case .several(let devices):
      let names = devices.map { "\($0.deviceId) (\($0.soc))" }.joined(separator: ", ")
      throw Problem.conflict("This mcuId fits several devices: \(names). Name one by its deviceId.")
    }
  }
}
