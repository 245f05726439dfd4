import CommandsDomain
import Directory
import FoundationEssentials
import Observability
import Postgres
import Runtime
import Threads
import Wire

/// The one door of the commands service: every use case is a method here, and Routes and Messaging call nothing else.
public struct CommandsService: Sendable {
  let store: CommandStore
  let directory: DeviceDirectory
  let idempotency: Idempotency
  private let outbox: OutboxRelay
  /// Of a command's message: `1e20` in a body is 21 digits in a message, so the body's limit does not bound it.
  private static let maximumBytes = KafkaTopic.maximumRecordBytes - 64 * 1024
  private let inserts: Batcher<NewCommand, Outcome>
  private let unknown: Counter
  /// The newest connection to the broker, as this replica last knew it; nil if that was wrong.
  private let epoch: Locked<Int64?>

  init(runtime: ServiceRuntime, directory: DeviceDirectory) {
    let store = CommandStore(database: runtime.database)
    let outbox = runtime.outbox
    self.store = store
    self.directory = directory
    self.outbox = outbox
    let epoch = Locked<Int64?>(nil)
    self.epoch = epoch
    idempotency = Idempotency(database: runtime.database)
    inserts = Batcher(runtime.loop, maximum: 500) { new in
      // One that was asked for before others knew of a newer epoch is stale, as the table will say.
      let inserted = try await store.insert(new, epoch: new.map(\.epoch).min() ?? 0)
      if !inserted.stale.isEmpty { epoch.withLock { $0 = nil } }
      if let records = inserted.records { outbox.committed(records) }
      return new.map { Self.outcome($0, inserted) }
    }
    unknown = runtime.metrics.counter(
      "martlet_commands_unknown_answers_total", help: "Answers to commands that this device never had.")
  }

  /// What became of a command that was to be stored.
  private enum Outcome: Sendable {
    /// It is on its way to the bridge.
    case goes
    /// It is stored, behind others of its device.
    case waits
    /// Its device is not as it was remembered: nothing is stored.
    case stale
  }

  /// What a client asks for.
  struct Request: Sendable {
    let type: String
    let params: JSONObject
    let lane: String
    /// Those that it sets itself.
    let deliver: Int?
    let acknowledge: Int?
    let complete: Int?
  }

  /// Makes a command: when this returns it is durable.
  /// - Throws: 404 or 409 for the device, 422 for a type that it does not take.
  func create(
    _ request: Request, for reference: String, in organisation: UUID?, by principal: Principal,
    trace: TraceContext, deviceType: String? = nil, _ once: Once<Command>
  ) async throws -> Command {
    // A device is mostly as it was a moment ago: the insert itself looks whether it is.
    for mayBeStale in [true, false, false] {
      let device = try await device(reference, in: organisation, mayBeStale: mayBeStale)
      let epoch = try await newestEpoch()
      let new = try await command(request, for: device, deviceType, by: principal, trace, epoch: epoch)
      if once.isKeyed {
        if let command = try await insert(new, once) { return command }
        self.epoch.withLock { $0 = nil }
      } else if let command = Self.stored(new, try await inserts.submit(new)) {
        return command
      }
    }
    throw Problem.conflict("The device is being changed at this moment. Try again.")
  }

  private func newestEpoch() async throws -> Int64 {
    if let known = epoch.withLock({ $0 }) { return known }
    let newest = try await store.epoch()
    epoch.withLock { $0 = newest }
    return newest
  }

  private static func outcome(_ new: NewCommand, _ inserted: CommandStore.Inserted) -> Outcome {
    let id = new.command.head.id
    return inserted.stale.contains(id) ? .stale : inserted.turns.contains(id) ? .goes : .waits
  }

  /// The command as it is stored; nil if it is not.
  private static func stored(_ new: NewCommand, _ outcome: Outcome) -> Command? {
    var command = new.command
    switch outcome {
    case .goes: command.progress.attempts = 1
    case .waits: break
    case .stale: return nil
    }
    return command
  }

  /// By itself, together with its answer.
  private func insert(_ new: NewCommand, _ once: Once<Command>) async throws -> Command? {
    try await store.database.withTransaction { connection in
      try await once.begin(on: connection)
      let inserted = try await store.insert([new], epoch: new.epoch, on: connection)
      guard let command = Self.stored(new, Self.outcome(new, inserted)) else { return nil }
      try await once.keep(command, on: connection)
      if let records = inserted.records {
        try await connection.afterCommit { outbox.committed(records) }
      }
      return command
    }
  }

  private func command(
    _ request: Request, for device: DeviceEntity, _ deviceType: String?, by principal: Principal,
    _ trace: TraceContext, epoch: Int64
  ) async throws -> NewCommand {
    guard let board = try await directory.board(device.boardId) else {
      throw Problem.unavailable("The device's board is not known here yet.")
    }
    let type = board.deviceType ?? Command.nativeType
    if let deviceType, deviceType != type {
      throw Problem.unprocessable([
        JSONFault(pointer: "/device_type", message: "is not the device's type, \(type)")
      ])
    }
    let catalogue = Catalogue(board: board.commandCatalogue)
    guard let entry = catalogue[request.type] else {
      throw Problem.unprocessable([
        JSONFault(pointer: "/type", message: "must be one of \(catalogue.types.joined(separator: ", "))")
      ])
    }
    let timeouts = Timeouts(
      deliver: request.deliver ?? entry.timeouts.deliver,
      acknowledge: request.acknowledge ?? entry.timeouts.acknowledge,
      complete: request.complete ?? entry.timeouts.complete)
    let now = Date.now.wholeMilliseconds
    let command = Command(
      head: CommandHead(
        id: .v7(), organisationId: device.organisationId, deviceId: device.deviceId, type: request.type,
        lane: request.lane, timeouts: timeouts, traceparent: trace.traceparent),
      hardwareId: device.mcuId, deviceType: board.deviceType, params: .object(request.params), createdAt: now,
      createdBy: principal.name,
      progress: CommandProgress(createdAt: now, timeouts: timeouts, by: principal.name))
    let downlink = CommandRecords.downlink(
      command.head, params: command.params, progress: command.progress,
      turn: CommandTurn(epoch: epoch, number: 0),
      at: now)
    guard downlink.payload?.count ?? 0 <= Self.maximumBytes else {
      throw Problem.unprocessable([
        JSONFault(pointer: "/params", message: "is larger than \(Self.maximumBytes) bytes when written out")
      ])
    }
    return NewCommand(
      command: command, created: CommandRecords.created(command), downlink: downlink, epoch: epoch,
      device: device)
  }

  /// One command; nil if the organisation has none of that id.
  func command(_ id: UUID, in organisation: UUID?) async throws -> Command? {
    try await store.find(id, in: organisation)
  }

  /// Commands, newest first.
  func commands(_ filter: CommandStore.Filter) async throws -> [(seq: Int64, command: Command)] {
    try await store.list(filter)
  }

  /// What must always hold: created = final + open, and every open command is looked at.
  /// - Parameter organisation: whose commands; nil for all.
  func invariants(in organisation: UUID?) async throws -> JSON {
    let counts = try await store.counts(in: organisation)
    let open = CommandStatus.allCases.filter(\.isOpen).reduce(0) { $0 + (counts.byStatus[$1.rawValue] ?? 0) }
    let created = counts.byStatus.values.reduce(0, +)
    return [
      "created": .int(created), "terminal": .int(created - open), "open": .int(open),
      "watched": .int(counts.watched), "openWithoutDeadline": .int(max(0, open - counts.watched)),
      "holds": .bool(open == counts.watched),
      "byStatus": .object(
        CommandStatus.allCases.reduce(into: JSONObject()) {
          $0[$1.rawValue] = .int(counts.byStatus[$1.rawValue] ?? 0)
        }),
    ]
  }

  /// The device of that record id, `deviceId` or `mcuId`.
  /// - Parameter mayBeStale: as it was found before, however long ago.
  func device(_ reference: String, in organisation: UUID?, mayBeStale: Bool = false) async throws
    -> DeviceEntity
  {
    switch try await directory.device(reference, in: organisation, mayBeStale: mayBeStale) {
    case .one(let device): return device
    case .none: throw Problem.notFound("device")
    case .several(let devices):
      let names = devices.map { "\($0.deviceId) (\($0.soc))" }.joined(separator: ", ")
      throw Problem.conflict(
        "Several devices have the mcuId \(reference): \(names). Name one by its deviceId.")
    }
  }

  /// Applies what the uplink topic brought, inside the transaction that moves its offsets.
  /// - Returns: whether there are turns to give, after the commit.
  func apply(_ reports: [(deviceId: String, report: DeviceReport)], on connection: PostgresConnection)
    async throws -> Bool
  {
    guard !reports.isEmpty else { return false }
    let (missing, turns, records) = try await Movement.apply(reports, on: connection)
    try await outbox.tell(records, on: connection)
    unknown.increment(by: missing)
    return turns
  }

  /// Ends the open commands whose deadline has passed.
  /// - Returns: how many it looked at, and whether there are turns to give.
  func sweep(at now: Date, limit: Int) async throws -> (looked: Int, turns: Bool) {
    guard try await store.isAnyDue(at: now) else { return (0, false) }
    return try await store.database.withTransaction { connection in
      let (looked, turns, records) = try await Movement.sweep(at: now, limit: limit, on: connection)
      try await outbox.tell(records, on: connection)
      return (looked, turns)
    }
  }

  /// Gives waiting commands their turn.
  /// - Returns: how many devices it looked at.
  func giveTurns(limit: Int) async throws -> Int {
    guard try await store.isAnyDeviceDue() else { return 0 }
    return try await store.database.withTransaction { connection in
      let (looked, records) = try await Turns.give(limit: limit, on: connection)
      try await outbox.tell(records, on: connection)
      return looked
    }
  }

  /// After a new connection to the broker: wakes the devices of what may be lost, a page at a time. Small pages, five a second:
  /// most devices come back by themselves and get theirs at once, and what is new must not wait behind a whole fleet (200,000
  /// open commands all at once made it wait 24 times as long).
  /// - Returns: whether there is more.
  func walk() async throws -> Bool {
    try await store.database.query(CommandStore.walk(limit: 50)).first?.decode(Bool.self) == false
  }

  /// Adds up what the counts have become.
  func addUpCounts() async throws { try await store.addUp(limit: 5000) }

  /// Ends the open commands of devices that are no more.
  /// - Returns: whether there may be more of them.
  func endCommandsOfDeletedDevices(at now: Date, limit: Int) async throws -> Bool {
    try await store.database.withTransaction { connection in
      let devices = try await DeletedDevices.due(limit: 50, on: connection)
      guard !devices.isEmpty else { return false }
      let (count, records) = try await Movement.end(
        ofDeleted: devices, at: now, limit: limit, on: connection)
      // Else the same devices again, until nothing of theirs is open.
      if count < limit { try await DeletedDevices.settle(devices, on: connection) }
      try await outbox.tell(records, on: connection)
      return true
    }
  }
}
