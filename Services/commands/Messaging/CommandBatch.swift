import CommandsDomain
import Directory
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// One transaction's worth of commands on the move: read them, decide, write what changed with its records.
struct CommandBatch {
  private var commands: [UUID: LoadedCommand]
  private var records: [Event] = []
  /// Commands that the bridge gave back: whether it tried them, and nobody listened.
  private var givenBack: [UUID: Bool] = [:]

  /// Those that were held until their device was heard from, and when they were let go.
  private var letGo: (ids: [UUID], at: Date)?

  private let mover: Mover

  private init(_ commands: [LoadedCommand], by mover: Mover) {
    self.mover = mover
    self.commands = Dictionary(commands.map { ($0.head.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Applies what devices and the bridge report.
  /// - Returns: how many reports were of commands that their device never had, whether there are turns to give once it is
  ///   committed, and what to tell.
  static func apply(
    _ reports: [(deviceId: String, report: DeviceReport)], by mover: Mover,
    on connection: PostgresConnection
  ) async throws -> (missing: Int, turns: TurnsToCome, records: [Event]) {
    let subjects = ReportSubjects(reports)
    if subjects.epoch == nil, subjects.back.isEmpty, let known = mover.memory.take(subjects.ids) {
      return try await apply(reports, subjects, to: known, by: mover, on: connection)
    }
    let back = subjects.back.sorted()
    var queries = subjects.epoch.map { [CommandStore.begin(epoch: $0)] } ?? []
    queries.append(subjects.look(ifHeld: true))
    if !back.isEmpty { queries.append(CommandStore.lock(Array(subjects.ids), andOf: back)) }
    queries.append(CommandStore.moving(Array(subjects.ids)))
    var answers = try await connection.pipeline(queries)
    if subjects.epoch != nil { answers.removeFirst() }
    let listening = try answers[0].decode((String, Bool).self)
    var more: [PostgresQuery] = []
    if !back.isEmpty {
      more.append(CommandStore.requeue(try answers[1].decode(UUID.self), of: back))
    }
    var batch = CommandBatch(
      try answers[answers.count - 1].map { try CommandStore.moving($0) }, by: mover)
    try await batch.hear(listening.filter(\.1).map(\.0), subjects.heard, on: connection)
    let missing = batch.fold(reports)
    // Of a device's own answer it was heard; here its row is only locked.
    if !batch.freed.isEmpty { more.append(CommandStore.lookNow(batch.freed.sorted())) }
    let records = try await batch.write(and: more, on: connection)
    let mayGo = !listening.isEmpty || !back.isEmpty || subjects.epoch != nil || !batch.givenBack.isEmpty
    return (missing, TurnsToCome(TurnNews(mayGo: mayGo, freed: batch.freed)), records)
  }

  /// The same for commands that are remembered, of devices that have not come back: everything goes with the commit.
  ///
  /// It misses a guard if one of them has been moved meanwhile, or if something is held until one of the devices is heard
  /// from: then the memory does not have them any more, and the next try is the long way.
  private static func apply(
    _ reports: [(deviceId: String, report: DeviceReport)], _ subjects: ReportSubjects,
    to known: [LoadedCommand], by mover: Mover, on connection: PostgresConnection
  ) async throws -> (missing: Int, turns: TurnsToCome, records: [Event]) {
    var batch = CommandBatch(known, by: mover)
    let missing = batch.fold(reports)
    let turns = TurnsToCome(TurnNews(mayGo: !batch.givenBack.isEmpty, freed: batch.freed))
    try await connection.enqueue(subjects.look(ifHeld: false)) { if $0.count > 0 { turns.mayGo() } }
    var more = batch.freed.isEmpty ? [] : [CommandStore.lookNow(batch.freed.sorted())]
    let unmoved = batch.commands.values.filter { !$0.hasMoved }
    if !unmoved.isEmpty { more.append(CommandStore.expect(unmoved)) }
    return (missing, turns, try await batch.write(and: more, on: connection))
  }

  /// Lets go what is held until its device is heard from.
  /// - Parameter devices: those that have any.
  private mutating func hear(
    _ devices: [String], _ heard: [String: Date], on connection: PostgresConnection
  ) async throws {
    let heard = devices.compactMap { id in heard[id].map { (id: id, at: $0) } }
    guard !heard.isEmpty else { return }
    let held = try await connection.query(CommandStore.held(of: heard.map(\.id), heardAt: heard.map(\.at)))
      .map { try CommandStore.moving($0) }
    // Now, not when the packet came: from here on it can be delivered.
    let now = Date.now.wholeMilliseconds
    for command in held {
      if commands[command.head.id] == nil { commands[command.head.id] = command }
      apply(CommandOccurrence(.heard, at: now), to: command.head.id)
    }
    letGo = (held.map(\.head.id), now)
  }

  /// Looks at what may be due: a deadline has passed, or has moved on since it was noted.
  /// - Returns: how many there were, whether there are turns to give, and what to tell.
  static func sweep(
    at now: Date, limit: Int, by mover: Mover, on connection: PostgresConnection
  ) async throws -> (looked: Int, turns: TurnNews, records: [Event]) {
    let due = try await connection.query(CommandStore.due(at: now, limit: limit)).map {
      try CommandStore.moving($0)
    }
    guard !due.isEmpty else { return (0, TurnNews(), []) }
    var batch = CommandBatch(due, by: mover)
    var turns: Set<String> = []
    var later: [(id: UUID, at: Date)] = []
    for command in due {
      guard let deadline = command.state.deadline else { continue }
      if deadline <= now {
        batch.apply(CommandOccurrence(.deadlinePassed, at: now), to: command.head.id)
        turns.insert(command.head.deviceId)
      } else {
        later.append((command.head.id, deadline))
      }
    }
    var more = later.isEmpty ? [] : [CommandStore.look(later.map(\.id), at: later.map(\.at))]
    if !turns.isEmpty { more.append(CommandStore.lookNow(turns.sorted())) }
    let records = try await batch.write(and: more, on: connection)
    return (due.count, TurnNews(mayGo: !turns.isEmpty, freed: batch.freed), records)
  }

  /// Ends open commands of devices that are no more.
  /// - Returns: how many, and what to tell.
  static func end(
    ofDeleted devices: [DeletedDevice], at now: Date, limit: Int, by mover: Mover,
    on connection: PostgresConnection
  ) async throws -> (count: Int, records: [Event]) {
    let open = try await connection.query(CommandStore.open(ofDeleted: devices, limit: limit)).map {
      try CommandStore.moving($0)
    }
    var batch = CommandBatch(open, by: mover)
    for command in open { batch.apply(CommandOccurrence(.deviceDeleted, at: now), to: command.head.id) }
    return (open.count, try await batch.write(and: [], on: connection))
  }

  /// What a user does to one command.
  /// - Returns: what it has become, what the lifecycle made of the occurrence, and what to tell; nil if the organisation (any,
  ///   for nil) has no such command.
  static func apply(
    _ occurrence: CommandOccurrence, to id: UUID, in organisation: UUID?, by mover: Mover,
    on connection: PostgresConnection
  ) async throws -> (command: LoadedCommand, outcome: CommandOutcome, turns: TurnNews, records: [Event])? {
    // What is made once more is over already, and the device's lock is taken.
    let mayEnd = occurrence.event != .retried
    let read = [CommandStore.lock(devicesOf: [id]), CommandStore.moving(id, in: organisation)]
    guard
      let command = try await connection.pipeline(mayEnd ? read : [read[1]]).last?.first.map({
        try CommandStore.moving($0)
      })
    else { return nil }
    var batch = CommandBatch([command], by: mover)
    let outcome = batch.apply(occurrence, to: id)
    // What is over leaves room in the window of its device, and what is behind it in its lane may go.
    let more =
      mayEnd && command.state.status.isOpen ? [CommandStore.lookNow([command.head.deviceId])] : []
    let records = try await batch.write(and: more, on: connection)
    let turns = TurnNews(mayGo: !more.isEmpty, freed: batch.freed)
    return (batch.commands[id] ?? command, outcome, turns, records)
  }

  /// Devices of which an exclusive one has ended.
  private var freed: Set<String> {
    Set(
      commands.values.filter { $0.isExclusive && $0.readStatus.isOpen && !$0.state.status.isOpen }
        .map(\.head.deviceId))
  }

  /// What a user does to several commands, which are locked.
  /// - Returns: what may go that waited for them, and what to tell.
  static func apply(
    _ occurrences: [(command: LoadedCommand, CommandOccurrence)], by mover: Mover,
    on connection: PostgresConnection
  ) async throws -> (turns: TurnNews, records: [Event]) {
    var batch = CommandBatch(occurrences.map(\.command), by: mover)
    let leavesRoom = Set(
      occurrences.filter { batch.apply($0.1, to: $0.command.head.id) != .ignored }
        .map(\.command).filter(\.state.status.isOpen).map(\.head.deviceId))
    let more = leavesRoom.isEmpty ? [] : [CommandStore.lookNow(leavesRoom.sorted())]
    let records = try await batch.write(and: more, on: connection)
    return (TurnNews(mayGo: !more.isEmpty, freed: batch.freed), records)
  }

  private mutating func fold(_ reports: [(deviceId: String, report: DeviceReport)]) -> Int {
    var missing = 0
    for (deviceId, report) in reports {
      let (id, occurrence, answered): (UUID, CommandOccurrence, DeviceStatus?)
      switch report {
      case .command(let command, let what, let answer): (id, occurrence, answered) = (command, what, answer)
      case .followed(let command, let what): (id, occurrence, answered) = (command, what, nil)
      case .heard, .retained, .gone, .brokerConnected: continue
      }
      guard let head = commands[id]?.head, head.deviceId == deviceId else {
        missing += 1
        // What is nobody's is deleted: said, or a careful device repeats its answer for ever. What is another's is not.
        if answered != nil, commands[id] == nil { records.append(CommandRecords.unknown(id, of: deviceId)) }
        continue
      }
      apply(occurrence, to: id)
      givenBack[id] = occurrence.event == .undelivered ? occurrence.detail != Undelivered.held.rawValue : nil
      if let answered { records.append(CommandRecords.receipt(head, answered)) }
    }
    return missing
  }

  @discardableResult
  private mutating func apply(_ occurrence: CommandOccurrence, to id: UUID) -> CommandOutcome {
    guard let place = commands.index(forKey: id) else { return .ignored }
    // In its place: a copy would be taken and given back for each of its texts.
    let head = commands.values[place].head
    let outcome = commands.values[place].state.apply(occurrence, timeouts: head.timeouts, by: mover.name)
    guard outcome != .ignored else { return outcome }
    let command = commands.values[place]
    records.append(
      CommandRecords.changed(
        head, command.state, by: occurrence.event,
        at: outcome == .progresses ? occurrence.at : command.state.timeline.last?.at ?? occurrence.at))
    if command.isWithdrawn(by: occurrence.event) { records.append(CommandRecords.withdrawn(head)) }
    return outcome
  }

  /// Writes what has moved, with the commit.
  /// - Returns: what tells of it.
  private func write(and more: [PostgresQuery], on connection: PostgresConnection) async throws -> [Event] {
    let moved = commands.values.filter(\.hasMoved).sorted { $0.head.id < $1.head.id }
    var statements: [PostgresQuery] = []
    if !moved.isEmpty { statements.append(CommandStore.update(moved)) }
    let atWork = moved.filter { $0.state.progress != nil }
    if !atWork.isEmpty { statements.append(CommandStore.keepProgress(atWork)) }
    let final = moved.filter { !$0.state.status.isOpen }
    if !final.isEmpty { statements.append(CommandStore.close(final.map(\.head.id))) }
    let sooner = moved.filter(\.hasNearerDeadline)
    if !sooner.isEmpty { statements.append(CommandStore.lookSooner(sooner)) }
    if let letGo { statements += CommandStore.letGo(letGo.ids, at: letGo.at) }
    statements += waits + more
    try await connection.enqueue(statements)
    try await connection.afterCommit { [memory = mover.memory] in memory.settle(moved) }
    return records
  }

  /// What the bridge gave back waits again; unless it has been delivered before, and the device was only not there for the
  /// repeat.
  private var waits: [PostgresQuery] {
    let back = givenBack.compactMap { id, wasTried in commands[id].map { (command: $0, wasTried: wasTried) } }
    let refused = back.filter { $0.wasTried && $0.command.state.status == .pending }.map(\.command.head)
    let held = back.filter { !$0.wasTried && $0.command.state.status.mayBeLost }.map(\.command.head)
    var statements: [PostgresQuery] = []
    if !refused.isEmpty {
      statements.append(
        CommandStore.waitForDevice(refused.map(\.id), of: Array(Set(refused.map(\.deviceId)))))
    }
    if !held.isEmpty {
      statements.append(CommandStore.waitForTurn(held.map(\.id), of: Array(Set(held.map(\.deviceId)))))
    }
    return statements
  }
}

extension LoadedCommand {
  /// Whether config is not to begin with it, or the bridge not to send it, any more.
  fileprivate func isWithdrawn(by event: CommandEvent) -> Bool {
    guard !state.status.isOpen, state.attempts > 0 else { return false }
    switch event {
    case .cancelled: return readStatus == .pending
    // What is SENT may have been handed over once more.
    case .deleted, .deviceDeleted: return head.action == nil ? readStatus.mayBeLost : readStatus == .pending
    // The bridge knows until when it may be sent.
    case .deadlinePassed: return head.action != nil && readStatus == .pending
    case .sent, .undelivered, .acknowledged, .succeeded, .failed, .dispatched, .progressed, .retried, .heard:
      return false
    }
  }

  /// Whether it must be looked at before the deadline that it had when it was read.
  fileprivate var hasNearerDeadline: Bool {
    guard let now = state.deadline, let before = readDeadline else { return false }
    return now < before
  }
}
