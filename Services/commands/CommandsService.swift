import CommandsDomain
import Directory
import FoundationEssentials
import Loop
import Observability
import Postgres
import Runtime
import Threads
import Wire

/// The one door of the commands service: every use case is a method here, and Routes and Messaging call nothing else.
public struct CommandsService: Sendable {
  let store: CommandStore
  let campaigns: CampaignStore
  let directory: DeviceDirectory
  let idempotency: Idempotency
  let outbox: OutboxRelay
  let loop: EventLoop
  let counts = CountsMemory()
  /// Rung when there is something to do for a campaign.
  let campaignsDue: Wakeup
  let live: LiveEvents
  /// Raised when something may go that waited.
  let turns: TurnSignal
  /// Of a command's message, in bytes: a body may be allowed to be larger.
  static let maximumBytes = KafkaTopic.maximumRecordBytes - 64 * 1024
  let catalogues = Catalogues()
  private let presence = PresenceMemory()
  private let invariantMetrics: InvariantMetrics
  let patience: Patience
  let mover: Mover
  private let inserts: Batcher<NewCommand, Outcome>
  let unknown: Counter
  /// The newest connection to the broker, as this replica last knew it; nil if that was wrong.
  private let epoch: Locked<Int64?>

  init(
    runtime: ServiceRuntime, directory: DeviceDirectory, live limits: LiveEvents.Limits = LiveEvents.Limits(),
    patience: Patience = Patience()
  ) {
    self.patience = patience
    let mover = Mover("\(runtime.name)-\(runtime.settings.replica)")
    self.mover = mover
    let store = CommandStore(database: runtime.database)
    let outbox = runtime.outbox
    self.store = store
    campaigns = CampaignStore(database: runtime.database)
    self.directory = directory
    self.outbox = outbox
    loop = runtime.loop
    campaignsDue = Wakeup(runtime.loop)
    live = LiveEvents(runtime, limits: limits)
    turns = TurnSignal(runtime.loop)
    let epoch = Locked<Int64?>(nil)
    self.epoch = epoch
    let hope = Hope()
    idempotency = Idempotency(database: runtime.database)
    inserts = Batcher(runtime.loop, maximum: 500, weight: \.bytes, maximumWeight: 8 << 20) { new in
      // One that was asked for before others knew of a newer epoch is stale, as the table will say.
      let known = new.map(\.epoch).min() ?? 0
      let inserted = try await Self.insert(new, epoch: known, store, outbox, hope)
      if !inserted.stale.isEmpty { epoch.withLock { $0 = nil } }
      mover.memory.settle(
        new.filter { inserted.turns.contains($0.command.head.id) }.map { LoadedCommand(made: $0.command) })
      return new.map { Self.outcome($0, inserted) }
    }
    invariantMetrics = InvariantMetrics(runtime.metrics)
    unknown = runtime.metrics.counter(
      "martlet_commands_unknown_answers_total", help: "Answers to commands that this device never had.")
  }

  /// How long a request waits for the registry to say which devices a filter means.
  struct Patience: Sendable {
    /// A campaign goes on by itself.
    var create: Duration = .seconds(5)
    var dryRun: Duration = .seconds(20)
  }

  /// What became of a command that was to be stored.
  private enum Outcome: Sendable {
    /// It is on its way to the bridge.
    case goes(DevicePresence)
    /// It is stored, and waits for its turn.
    case waits(DevicePresence)
    /// Its device is not as it was remembered: nothing is stored.
    case stale
  }

  /// What a client asks for.
  struct Request: Sendable {
    let type: String
    let params: JSONObject
    let lane: String
    var delivery = Delivery()
    /// Those that it sets itself.
    let deliver: Int?
    let acknowledge: Int?
    let complete: Int?
    /// The command for which this one is made once more.
    var retryOf: UUID? = nil
    /// The campaign that it is a part of.
    var bulkId: UUID? = nil
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
      guard let board = try await directory.board(device.boardId) else {
        throw Problem.unavailable("The device's board is not known here yet.")
      }
      let new = try command(
        request, for: device, on: board, deviceType, by: principal.name, trace.traceparent, epoch: epoch)
      if let own = new.command.own { try await claim(own, for: device) }
      if once.isKeyed || request.retryOf != nil {
        if let command = try await insert(new, once, by: principal) { return command }
        forgetEpoch()
      } else if let command = Self.stored(new, try await inserts.submit(new)) {
        return command
      }
    }
    throw Problem.conflict("The device is being changed at this moment. Try again.")
  }

  /// It was not the newest.
  func forgetEpoch() { epoch.withLock { $0 = nil } }

  func newestEpoch() async throws -> Int64 {
    if let known = epoch.withLock({ $0 }) { return known }
    let newest = try await store.epoch()
    epoch.withLock { $0 = newest }
    return newest
  }

  private static func outcome(_ new: NewCommand, _ inserted: CommandStore.Inserted) -> Outcome {
    let id = new.command.head.id
    if inserted.stale.contains(id) { return .stale }
    let presence = inserted.presence[id] ?? .unknown
    return inserted.turns.contains(id) ? .goes(presence) : .waits(presence)
  }

  /// Many, of which nobody is to hear that another transaction was in their way, or that a migration has changed a statement.
  private static func insert(
    _ new: [NewCommand], epoch: Int64, _ store: CommandStore, _ outbox: OutboxRelay, _ hope: Hope,
    tries: Int = 3
  ) async throws -> CommandStore.Inserted {
    do {
      if new.allSatisfy(\.mayGoAtOnce), hope.take() {
        let presence = try await store.database.withTransaction {
          try await CommandStore.insert(goingAtOnce: new, epoch: epoch, telling: outbox, on: $0)
        }.withLock { $0 }
        hope.isFulfilled()
        return CommandStore.Inserted(
          turns: Set(new.map(\.command.head.id)),
          presence: Dictionary(
            uniqueKeysWithValues: new.compactMap { item in
              presence[item.device.deviceId].map { (item.command.head.id, $0) }
            }))
      }
      return try await store.database.withTransaction {
        try await CommandStore.insert(new, epoch: epoch, telling: outbox, on: $0)
      }
    } catch let error as PostgresError where error.isMissedGuard {
      hope.isDashed()
      return try await insert(new, epoch: epoch, store, outbox, hope, tries: tries)
    } catch let error as PostgresError where (error.isDeadlock || error.isOfStaleStatement) && tries > 1 {
      return try await insert(new, epoch: epoch, store, outbox, hope, tries: tries - 1)
    }
  }

  /// The command as it is stored; nil if it is not.
  private static func stored(_ new: NewCommand, _ outcome: Outcome) -> Command? {
    var command = new.command
    switch outcome {
    case .goes(let presence):
      command.state.attempts = 1
      command.deviceOnline = presence
    case .waits(let presence): command.deviceOnline = presence
    case .stale: return nil
    }
    return command
  }

  /// By itself, together with its answer and with what ties it to another.
  private func insert(_ new: NewCommand, _ once: Once<Command>, by principal: Principal) async throws
    -> Command?
  {
    try await store.database.withTransaction { connection in
      try await once.begin(on: connection)
      let inserted = try await CommandStore.insert([new], epoch: new.epoch, telling: outbox, on: connection)
      guard let command = Self.stored(new, Self.outcome(new, inserted)) else { return nil }
      if let original = command.retryOf {
        try await link(command, retryOf: original, by: principal, on: connection)
      }
      try await once.keep(command, on: connection)
      return command
    }
  }

  /// The command as it is to be stored.
  /// - Throws: 422 if the device does not take it.
  func command(
    _ request: Request, for device: DeviceEntity, on board: BoardEntity, _ deviceType: String? = nil,
    by name: String, _ traceparent: String?, epoch: Int64
  ) throws -> NewCommand {
    let type = board.deviceType ?? Command.nativeType
    if let deviceType, deviceType != type {
      throw Problem.unprocessable([
        JSONFault(pointer: "/device_type", message: "is not the device's type, \(type)")
      ])
    }
    let entry = try entry(of: request, on: board)
    let own = try own(entry, TemplateValues(device, request.params))
    let timeouts = Timeouts(
      deliver: request.deliver ?? entry.timeouts.deliver,
      acknowledge: request.acknowledge ?? entry.timeouts.acknowledge,
      complete: request.complete ?? entry.timeouts.complete)
    let now = Date.now.wholeMilliseconds
    let command = Command(
      head: CommandHead(
        id: .v7(), organisationId: device.organisationId, deviceId: device.deviceId, type: request.type,
        lane: request.lane, timeouts: timeouts, traceparent: traceparent),
      hardwareId: device.mcuId, deviceType: board.deviceType, params: .object(request.params),
      delivery: request.delivery, deviceRecord: device.id, createdAt: now, createdBy: name,
      retryOf: request.retryOf, bulkId: request.bulkId, own: own,
      state: CommandState(
        createdAt: now, timeouts: timeouts, delivery: request.delivery, by: name, replica: mover.name))
    let downlink = CommandRecords.downlink(
      command.head, params: command.params, own: own, state: command.state,
      turn: CommandTurn(epoch: epoch, number: 0), of: device.id, by: name, at: now)
    guard (downlink.payload?.count ?? 0) <= Self.maximumBytes else {
      throw Problem.unprocessable([
        JSONFault(pointer: "/params", message: "is larger than \(Self.maximumBytes) bytes when written out")
      ])
    }
    return NewCommand(
      command: command, created: CommandRecords.created(command), downlink: downlink, epoch: epoch,
      device: device)
  }

  /// What the board's catalogue says of the command.
  /// - Throws: 422 for a type that it does not have, and for params that do not fit.
  func entry(of request: Request, on board: BoardEntity) throws -> Catalogue.Entry {
    let catalogue = catalogues.catalogue(of: board)
    guard let entry = catalogue[request.type] else {
      throw Problem.unprocessable([
        JSONFault(pointer: "/type", message: "must be one of \(catalogue.types.joined(separator: ", "))")
      ])
    }
    let faults = catalogues.faults(of: request.params, for: entry, of: board)
    if !faults.isEmpty { throw Problem.unprocessable(faults) }
    _ = try own(entry, .anyDevice(with: request.params))
    return entry
  }

  /// One command; nil if the organisation has none of that id.
  func command(_ id: UUID, in organisation: UUID?) async throws -> Command? {
    try await store.find(id, in: organisation)
  }

  /// Commands, newest first.
  func commands(_ filter: CommandStore.Filter, atMost bytes: Int64 = CommandStore.pageBytes) async throws
    -> CommandStore.Page
  {
    try await store.list(filter, atMost: bytes)
  }

  /// What must always hold: created = final + open, and every open command is looked at.
  /// - Parameter organisation: whose commands; nil for all.
  func invariants(in organisation: UUID?) async throws -> JSON {
    let counts = try await store.counts(in: organisation)
    return [
      "created": .int(counts.created), "terminal": .int(counts.created - counts.open),
      "open": .int(counts.open),
      "watched": .int(counts.watched), "openWithoutDeadline": .int(counts.openWithoutDeadline),
      "overdue": .int(counts.overdue), "holds": .bool(counts.open == counts.watched),
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
    async throws -> TurnsToCome
  {
    guard !reports.isEmpty else { return TurnsToCome(TurnNews()) }
    let (missing, turns, records) = try await CommandBatch.apply(reports, by: mover, on: connection)
    let news = presence.news(
      reports.compactMap { report in report.report.presence.map { (report.deviceId, $0) } })
    if !news.isEmpty {
      try await connection.enqueue(PresenceTable.keep(news)) { [presence] in presence.kept(news, $0) }
    }
    try await outbox.tell(records, on: connection)
    if missing > 0 { try await connection.afterCommit { [unknown] in unknown.increment(by: missing) } }
    return turns
  }

  /// Ends the open commands whose deadline has passed.
  /// - Returns: how many it looked at, and whether there are turns to give.
  /// - Parameter time: what time it is; nil for what the database says, which is the same for all replicas.
  func sweep(at time: Date? = nil, limit: Int) async throws -> (looked: Int, turns: TurnNews) {
    guard let now = try await store.timeIfAnyIsDue(at: time) else { return (0, TurnNews()) }
    return try await store.database.withTransaction { connection in
      let (looked, turns, records) = try await CommandBatch.sweep(
        at: now, limit: limit, by: mover, on: connection)
      try await outbox.tell(records, on: connection)
      return (looked, turns)
    }
  }

  /// Looks at devices at once of which an exclusive command has ended: one that was being stored in that moment saw it open, and
  /// its end did not see that one. Who stores has the device's lock: once it was free all that saw it open are there.
  func lookAgain(_ devices: Set<String>) async throws {
    guard !devices.isEmpty else { return }
    let devices = devices.sorted()
    // By themselves: in one transaction the two locks would be taken in the wrong order.
    try await store.database.query(CommandStore.lock(devices: devices))
    try await store.database.query(CommandStore.lookNow(devices))
  }

  /// Gives waiting commands their turn.
  /// - Returns: how many devices it looked at.
  func giveTurns(limit: Int) async throws -> Int {
    guard try await store.isAnyDeviceDue() else { return 0 }
    return try await store.database.withTransaction { connection in
      let (looked, records) = try await Turns.give(limit: limit, by: mover, on: connection)
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

  /// Shows what must always hold, over all organisations.
  func measureInvariants() async throws { invariantMetrics.show(try await store.counts(in: nil)) }

  /// Ends the open commands of devices that are no more.
  /// - Returns: whether there may be more of them.
  func endCommandsOfDeletedDevices(at now: Date, limit: Int) async throws -> Bool {
    try await store.database.withTransaction { connection in
      let devices = try await DeletedDevices.due(limit: 50, on: connection)
      guard !devices.isEmpty else { return false }
      let (count, records) = try await CommandBatch.end(
        ofDeleted: devices, at: now, limit: limit, by: mover, on: connection)
      // Else the same devices again, until nothing of theirs is open.
      if count < limit {
        try await connection.enqueue([
          PresenceTable.forget(devices.compactMap(\.deviceId)), CommandStore.release(devices.map(\.id)),
        ])
        try await DeletedDevices.settle(devices, on: connection)
      }
      try await outbox.tell(records, on: connection)
      return true
    }
  }
}
