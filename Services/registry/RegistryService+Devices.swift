import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

extension RegistryService {
  func create(_ new: NewDevice, in scope: UUID?, _ once: Once<Device>, _ context: RequestContext) async throws
    -> Device
  {
    let device = new.device
    guard scope == nil || scope == device.organisationId else {
      throw Problem.unknownReference("/organisationId", "organisation")
    }
    return try await change(once) { connection in
      let board = try await board(of: device, connection)
      var device = device
      device.soc = board.profile.soc
      let table = DeviceTable(database: connection)
      try await table.insert(device, attributes: new.attributes)
      try await hold(device, board, table)
      return Change(answer: device, records: device.records(.created, context))
    }
  }

  func devices(_ filter: DeviceFilter, _ page: PageRequest) async throws -> Page<Device> {
    try await filter.page(page, on: database)
  }

  /// One device, by record id, `deviceId` or `mcuId`.
  /// - Throws: 404; 409 for an `mcuId` that several devices have.
  func device(_ reference: String, in scope: UUID?) async throws -> Device {
    try await device(reference, in: scope, database)
  }

  func device(deviceId: String, in scope: UUID?) async throws -> Device {
    try found(try await DeviceTable(database: database).find(deviceId: deviceId, in: scope))
  }

  func device(soc: String, mcuId: String, in scope: UUID?) async throws -> Device {
    try found(try await DeviceTable(database: database).find(soc: soc, mcuId: mcuId, in: scope))
  }

  /// Changes a device; `edit` gives what it is to be.
  func update(
    device reference: String, in scope: UUID?, _ expected: Precondition, _ context: RequestContext,
    _ edit: @Sendable (Device) throws -> Device
  ) async throws -> Device {
    try await change { connection in
      let current = try await locked(reference, in: scope, connection)
      try expected.check(Precondition.tag(rev: current.rev))
      let changed = try Problem.unlessFitting { try edit(current) }
      if changed.metadata != current.metadata {
        try await hold(changed, try await board(of: changed, connection), DeviceTable(database: connection))
      }
      try await DeviceTable(database: connection).update(changed)
      return Change(answer: changed, records: changed.records(.updated, context))
    }
  }

  /// Removes a device with its state. The public event carries the whole device, for those who clean up after it.
  func delete(
    device reference: String, in scope: UUID?, _ expected: Precondition, _ context: RequestContext
  ) async throws {
    try await change { connection in
      let current = try await locked(reference, in: scope, connection)
      try expected.check(Precondition.tag(rev: current.rev))
      try await DeviceTable(database: connection).delete(current.id)
      return Change(answer: (), records: current.records(.deleted, context))
    }
  }

  /// The board that a device uses, held against changes until the transaction ends.
  private func board(of device: Device, _ connection: PostgresConnection) async throws -> Board {
    let board = try await BoardTable(database: connection).find(
      device.boardId, for: device.organisationId, hold: .share)
    guard let board else { throw Problem.unknownReference("/boardId", "board") }
    return board
  }

  /// Holds the metadata against the board, and writes it.
  /// - Throws: 422 with each field that is missing, or whose value another device of the board has.
  private func hold(_ device: Device, _ board: Board, _ table: DeviceTable) async throws {
    let fields = board.profile.metadataFields
    let taken = try await table.index(device, unique: board.profile.uniqueNames)
    let faults =
      device.metadata.faults(against: fields)
      + taken.map { Metadata.fault($0, "is the same on another device of this board") }
    if !faults.isEmpty { throw Problem.unprocessable(faults) }
  }

  private func locked(_ reference: String, in scope: UUID?, _ connection: PostgresConnection) async throws
    -> Device
  {
    let device = try await device(reference, in: scope, connection)
    return try found(try await DeviceTable(database: connection).lock(device.id))
  }

  private func device(_ reference: String, in scope: UUID?, _ database: any Querying) async throws -> Device {
    let devices = try await DeviceTable(database: database).find(reference, in: scope)
    if devices.count > 1 {
      let names = devices.map { "\($0.deviceId) (\($0.soc))" }.sorted().joined(separator: ", ")
      throw Problem.conflict(
        "Several devices have the mcuId \(reference): \(names). Name one by its deviceId.")
    }
    return try found(devices.first)
  }

  private func found(_ device: Device?) throws -> Device {
    guard let device else { throw Problem.notFound("device") }
    return device
  }
}
