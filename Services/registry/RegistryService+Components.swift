import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

extension RegistryService {
  /// The components of a device.
  func components(
    of reference: String, in scope: UUID?, _ page: PageRequest
  ) async throws -> (device: Device, page: Page<Component>) {
    let device = try await device(reference, in: scope)
    return (device, try await ComponentTable(database: database).list(of: device.id, page))
  }

  /// What an upsert came to.
  struct PutComponent: Sendable {
    let component: Component
    let device: Device
    let isNew: Bool
  }

  /// Makes a component of a device, or changes the one with that key.
  func put(
    _ change: ComponentChange, of reference: String, in scope: UUID?, _ expected: Precondition,
    _ context: RequestContext
  ) async throws -> PutComponent {
    try await self.change { connection in
      let device = try await locked(reference, in: scope, connection)
      let table = ComponentTable(database: connection)
      let current = try await table.find(change.key, of: device.id)
      try expected.check(current.map { Precondition.tag($0.id, rev: $0.rev) })
      let profiles = SensorProfileTable(database: connection)
      let owner = device.organisationId
      guard try await profiles.find(change.sensorProfileId, for: owner, hold: .share) != nil else {
        throw Problem.unknownReference("/sensorProfileId", "sensor profile")
      }
      if current == nil, try await table.count(of: device.id) >= Component.maximumCount {
        throw Problem.conflict("The device has \(Component.maximumCount) components, which is the most.")
      }
      let component = current?.changed(by: change) ?? change.component(of: device.id, id: .v7())
      let put = PutComponent(component: component, device: device, isNew: current == nil)
      guard component.rev != current?.rev else { return Change(answer: put, records: []) }
      try await table.put(component)
      let records = try await told(of: device, context, connection) { record in
        ComponentOfDevice(component: component, record: record).records(
          current == nil ? .created : .updated, context,
          from: current.map { ComponentOfDevice(component: $0, record: record) })
      }
      return Change(answer: put, records: records)
    }
  }

  func delete(
    component key: String, of reference: String, in scope: UUID?, _ expected: Precondition,
    _ context: RequestContext
  ) async throws {
    try await change { connection in
      let device = try await locked(reference, in: scope, connection)
      let table = ComponentTable(database: connection)
      guard let current = try await table.find(key, of: device.id) else {
        throw Problem.notFound("component")
      }
      try expected.check(Precondition.tag(current.id, rev: current.rev))
      try await table.delete(current.id)
      let records = try await told(of: device, context, connection) { record in
        ComponentOfDevice(component: current, record: record).records(.deleted, context)
      }
      return Change(answer: (), records: records)
    }
  }

  /// The records of a device whose components have changed: the device's own, and what `event` makes of it.
  private func told(
    of device: Device, _ context: RequestContext, _ connection: PostgresConnection,
    _ event: (DeviceRecord) -> [Event]
  ) async throws -> [Event] {
    let table = DeviceRecordTable(database: connection)
    try await table.advance([device.id])
    return try await table.records(of: [device.id]).flatMap { record in
      record.entityRecord(context) + event(record)
    }
  }
}
