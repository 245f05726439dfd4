import ConfigDomain
import Directory
import FoundationEssentials
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
      name = context.principal.name
      traceparent = context.trace.traceparent
    }
  }

  let database: PostgresClient
  let directory: DeviceDirectory
  let artefacts: ArtefactStore
  let bindings: BindingStore
  let configurations: ConfigurationStore
  let outbox: OutboxRelay
  let idempotency: Idempotency

  /// - Parameter runtime: what the service stands on.
  public init(_ runtime: ServiceRuntime, directory: DeviceDirectory) {
    database = runtime.database
    self.directory = directory
    artefacts = ArtefactStore(database: runtime.database)
    bindings = BindingStore(database: runtime.database)
    configurations = ConfigurationStore(database: runtime.database)
    outbox = runtime.outbox
    idempotency = Idempotency(database: runtime.database)
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
