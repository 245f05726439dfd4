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
    try Self.check(DeviceRecord(device: device), isIn: scope)
    return try await change(once) { connection in
      try await GroupLock.share(device.organisationId, on: connection)
      let board = try await board(of: device, connection)
      try await checkNetwork(of: device, connection)
      var device = device
      device.soc = board.soc
      let table = DeviceTable(database: connection)
      try await table.insert(device, attributes: new.attributes)
      try await hold(device, board, table)
      return Change(
        answer: device, records: try await settle([DeviceChange(to: device)], context, on: connection))
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
      try expected.check(Precondition.tag(current.id, rev: current.rev))
      var changed = try Problem.unlessFitting { try edit(current) }
      guard changed.rev != current.rev else { return Change(answer: current, records: []) }
      if changed.networkId != current.networkId { try await checkNetwork(of: changed, connection) }
      let table = DeviceTable(database: connection)
      if changed.metadata != current.metadata || changed.boardId != current.boardId {
        let board = try await board(of: changed, connection)
        changed.soc = board.soc
        try await hold(changed, board, table)
      }
      try await table.update([changed])
      return Change(
        answer: changed,
        records: try await settle([DeviceChange(from: current, to: changed)], context, on: connection))
    }
  }

  /// Removes a device with its state, components and credentials. The public event carries the whole device, for those who clean up
  /// after it.
  func delete(
    device reference: String, in scope: UUID?, _ expected: Precondition, _ context: RequestContext
  ) async throws {
    try await change { connection in
      let current = try await locked(reference, in: scope, connection)
      try expected.check(Precondition.tag(current.id, rev: current.rev))
      let records = try await DeviceRecordTable(database: connection).records(of: [current.id])
      let components = try await ComponentTable(database: connection).all(of: current.id)
      let groups = try await GroupTable(database: connection).containing(current.id)
      let certificates = try await revokeCertificates(of: current.id, context, on: connection)
      try await DeviceTable(database: connection).delete(current.id)
      return Change(
        answer: (),
        records: certificates
          + records.flatMap { record in
            record.records(.deleted, context)
              + components.flatMap {
                ComponentOfDevice(component: $0, record: record).records(.deleted, context)
              }
              + groups.flatMap {
                MembershipChange(group: $0, isJoin: false, members: [.init(record)]).records(context)
              }
          })
    }
  }

  /// The board that a device uses, held against changes until the transaction ends.
  private func board(of device: Device, _ connection: PostgresConnection) async throws -> BoardRules {
    let board = try await BoardTable(database: connection).rules(device.boardId, for: device.organisationId)
    guard let board else { throw Problem.unknownReference("/boardId", "board") }
    return board
  }

  /// The same for its network, if it has one.
  private func checkNetwork(of device: Device, _ connection: PostgresConnection) async throws {
    guard let network = device.networkId else { return }
    let table = NetworkTable(database: connection)
    guard try await table.find(network, for: device.organisationId, hold: .share) != nil else {
      throw Problem.unknownReference("/networkId", "network")
    }
  }

  /// Holds the metadata against the board, and writes it.
  /// - Throws: 422 with each field that is missing, or whose value another device of the board has.
  private func hold(_ device: Device, _ board: BoardRules, _ table: DeviceTable) async throws {
    let faults = device.metadata.faults(against: board.metadataFields)
    // Thousands of them are not even tried.
    let isTooMuch = device.metadata.count > Metadata.maximumCount
    let taken = try await isTooMuch ? [] : table.index([device], unique: [board.id: board.uniqueNames])
    let all = faults + taken.map { Metadata.fault($0.field, "is the same on another device of this board") }
    if !all.isEmpty { throw Problem.unprocessable(all) }
  }

  /// A device that is to be changed: first the groups of its organisation, then its row is held, so that nobody who
  /// changes a group waits for the device while the device waits for the group.
  func locked(_ reference: String, in scope: UUID?, _ connection: PostgresConnection) async throws -> Device {
    let device = try await device(reference, in: scope, connection)
    try await GroupLock.share(device.organisationId, on: connection)
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
