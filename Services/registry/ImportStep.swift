import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

/// One batch of an import, inside its transaction.
struct ImportStep: Sendable {
  let job: Import
  let registry: RegistryService
  let ahead: ImportAhead

  /// What has become of the rows, and what is to be told of it.
  struct Done: Sendable {
    let results: [ImportResult]
    let records: [Event]
  }

  /// In a transaction that goes on, with nothing told. What it throws has left nothing behind.
  func savepoint(
    _ batch: ArraySlice<ImportCandidate>, _ connection: PostgresConnection
  ) async throws -> [ImportResult] {
    try await connection.query("SAVEPOINT import")
    do {
      let results = try await run(batch, connection).results
      try await connection.query("RELEASE SAVEPOINT import")
      return results
    } catch {
      // Without a connection there is nothing to go back to, and what went wrong first is what counts.
      _ = try? await connection.pipeline(["ROLLBACK TO SAVEPOINT import", "RELEASE SAVEPOINT import"])
      throw error
    }
  }

  /// - Throws: `SetAside`, `NotTogether`.
  func run(_ batch: ArraySlice<ImportCandidate>, _ connection: PostgresConnection) async throws -> Done {
    let devices = batch.compactMap { try? $0.device.get() }
    guard let organisation = devices.first?.new.device.organisationId else {
      return Done(results: batch.map(Self.failed), records: [])
    }
    try await GroupLock.share(organisation, on: connection)
    let places = try await Places(of: devices, in: organisation, connection)
    let table = ImportTable(connection: connection)
    var known = Known(
      try await table.find(
        deviceIds: devices.compactMap(\.deviceId),
        hardware: devices.compactMap { device in
          places.boards[device.new.device.boardId].map { (device.new.device.mcuId, $0.soc) }
        }))
    var plan = batch.map { ($0, decide($0, places, known)) }
    try await hold(&plan, places, &known, table)
    try checkApart(plan, places, known)
    let (changes, records) = try await write(plan, places, table)
    return Done(
      results: plan.map(Self.result),
      records: try await registry.settle(changes, ofNew: records, job.context, on: connection))
  }

  /// The boards and networks that a batch names and may use, held against changes until the transaction ends.
  private struct Places: Sendable {
    var boards: [UUID: BoardRules] = [:]
    var networks: Set<UUID> = []
    let hasOrganisation: Bool

    init(of devices: [ImportedDevice], in organisation: UUID, _ connection: PostgresConnection) async throws {
      hasOrganisation = try await OrganisationTable(database: connection).find(organisation) != nil
      for board in try await BoardTable(database: connection).rules(
        Set(devices.map(\.new.device.boardId)), for: organisation)
      { boards[board.id] = board }
      networks = Set(
        try await NetworkTable(database: connection).find(
          Set(devices.compactMap(\.new.device.networkId)), for: organisation, hold: .share
        ).map(\.id))
    }
  }

  /// The devices that are there already.
  private struct Known {
    private var byDeviceId: [String: Device] = [:]
    private var byHardware: [String: Device] = [:]

    init(_ devices: [Device]) { for device in devices { put(device) } }

    mutating func put(_ device: Device) {
      if let old = byDeviceId[device.deviceId] { byHardware[old.mcuId + " " + old.soc] = nil }
      byDeviceId[device.deviceId] = device
      byHardware[device.mcuId + " " + device.soc] = device
    }

    func named(_ deviceId: String?) -> Device? { deviceId.flatMap { byDeviceId[$0] } }
    func alike(_ mcuId: String, _ soc: String) -> Device? { byHardware[mcuId + " " + soc] }
  }

  private func decide(_ candidate: ImportCandidate, _ places: Places, _ known: Known)
    -> ImportedDevice.Decision
  {
    switch candidate.device {
    case .failure(let faults): return .refuse(faults.faults)
    case .success(let device):
      let new = device.new.device
      guard places.hasOrganisation else {
        return .refuse([JSONFault(pointer: "/organisationId", message: "There is no such organisation.")])
      }
      guard let board = places.boards[new.boardId] else {
        return .refuse([JSONFault(pointer: "/boardId", message: "There is no such board.")])
      }
      if let network = new.networkId, !places.networks.contains(network) {
        return .refuse([JSONFault(pointer: "/networkId", message: "There is no such network.")])
      }
      return device.decide(
        job.mode, board: board, named: known.named(device.deviceId),
        alike: known.alike(new.mcuId, board.soc))
    }
  }

  /// Whatever a row comes to, also a refusal, may rest on the devices that it means; none of them may be changed by a row
  /// before it.
  private func checkApart(
    _ plan: [(ImportCandidate, ImportedDevice.Decision)], _ places: Places, _ known: Known
  ) throws {
    var changed: Set<UUID> = []
    for (candidate, decision) in plan {
      guard let device = try? candidate.device.get() else { continue }
      let alike = places.boards[device.new.device.boardId].flatMap {
        known.alike(device.new.device.mcuId, $0.soc)
      }
      let isApart = [known.named(device.deviceId), alike].allSatisfy {
        $0.map { !changed.contains($0.id) } ?? true
      }
      if !isApart { throw NotTogether() }
      if case .update(let before, _) = decision { changed.insert(before.id) }
    }
  }

  /// Holds the devices that are to be changed, and decides again by what they are then.
  private func hold(
    _ plan: inout [(ImportCandidate, ImportedDevice.Decision)], _ places: Places,
    _ known: inout Known, _ table: ImportTable
  ) async throws {
    let ids = plan.compactMap { _, decision in
      if case .update(let device, _) = decision { device.id } else { nil }
    }
    guard !ids.isEmpty else { return }
    for device in try await table.lock(ids) { known.put(device) }
    for index in plan.indices {
      if case .update = plan[index].1 { plan[index].1 = decide(plan[index].0, places, known) }
    }
  }

  /// Writes what is decided.
  /// - Returns: what has changed, and the records of those that are new, in the same order.
  /// - Throws: `SetAside` with the rows that turn out to be in the way of others; `NotTogether`.
  private func write(
    _ plan: [(ImportCandidate, ImportedDevice.Decision)], _ places: Places, _ table: ImportTable
  ) async throws -> (changes: [DeviceChange], records: [Event]) {
    var rows: [UUID: Int] = [:]
    var (new, changes): ([(device: Device, attributes: JSON)], [DeviceChange]) = ([], [])
    var indexed: [Device] = []
    for (candidate, decision) in plan {
      switch decision {
      case .create:
        guard let made = Self.made(candidate, places) else { continue }
        rows[made.device.id] = candidate.row.row
        new.append(made)
        changes.append(DeviceChange(to: made.device))
        indexed.append(made.device)
      case .update(let before, let after):
        rows[after.id] = candidate.row.row
        changes.append(DeviceChange(from: before, to: after))
        if after.metadata != before.metadata || after.boardId != before.boardId { indexed.append(after) }
      case .nothing, .refuse: break
      }
    }
    let created = new
    async let inserted = created.isEmpty ? [] : table.insert(created)
    // Once that is on its way, there is time for what the database has no part in.
    await registry.database.loop.endOfTurn()
    await ahead.read()
    let records = created.flatMap {
      DeviceRecord(device: $0.device).records(.created, job.context, from: nil)
    }
    let made = try await inserted
    var faults: [Int: [JSONFault]] = [:]
    for (device, _) in new where !made.contains(device.id) {
      faults[rows[device.id] ?? 0] = [
        JSONFault(
          pointer: "", message: "Another device with this deviceId or mcuId was made at the same time.")
      ]
    }
    if !faults.isEmpty { throw SetAside(faults: faults, isMeanwhile: true) }
    let devices = DeviceTable(database: table.connection)
    for (device, field) in try await devices.index(
      indexed, unique: places.boards.mapValues(\.uniqueNames))
    {
      faults[rows[device] ?? 0, default: []].append(
        Metadata.fault(field, "is the same on another device of this board"))
    }
    if !faults.isEmpty { throw SetAside(faults: faults) }
    try await devices.update(changes.filter { $0.before != nil }.map(\.device))
    return (changes, records)
  }

  /// The device that a row makes.
  private static func made(_ candidate: ImportCandidate, _ places: Places) -> (
    device: Device, attributes: JSON
  )? {
    guard let new = try? candidate.device.get().new, let board = places.boards[new.device.boardId] else {
      return nil
    }
    var device = new.device
    device.soc = board.soc
    return (device, new.attributes)
  }

  private static func result(_ candidate: ImportCandidate, _ decision: ImportedDevice.Decision)
    -> ImportResult
  {
    switch decision {
    case .create:
      guard let device = try? candidate.device.get().new.device else { return failed(candidate) }
      return ImportResult(candidate.row, .created(device))
    case .update(_, let device): return ImportResult(candidate.row, .updated(device))
    case .nothing(let device): return ImportResult(candidate.row, .unchanged(device))
    case .refuse(let faults): return ImportResult(candidate.row, .failed(faults))
    }
  }

  private static func failed(_ candidate: ImportCandidate) -> ImportResult {
    guard case .failure(let faults) = candidate.device else {
      return ImportResult(candidate.row, .failed([]))
    }
    return ImportResult(candidate.row, .failed(faults.faults))
  }
}
