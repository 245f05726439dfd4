import CommandsDomain
import Directory
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// One transaction's worth of commands on the move: read them, decide, write what changed with its records.
struct Movement {
  private var commands: [UUID: MovingCommand]
  private var records: [Event] = []
  /// Commands for which nobody listened.
  private var refused: Set<UUID> = []

  private init(_ commands: [MovingCommand]) {
    self.commands = Dictionary(commands.map { ($0.head.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Applies what devices and the bridge report.
  /// - Returns: how many reports were of commands that their device never had, whether the sweeper has turns to give,
  ///   and what to tell.
  static func apply(
    _ reports: [(deviceId: String, report: DeviceReport)], on connection: PostgresConnection
  ) async throws -> (missing: Int, turns: Bool, records: [Event]) {
    var ids: Set<UUID> = []
    var heard: Set<String> = []
    var back: Set<String> = []
    var brokerIsBack = false
    for (deviceId, report) in reports {
      switch report {
      case .command(let id, _, _): ids.insert(id)
      case .heard(let reconnected): if reconnected { back.insert(deviceId) } else { heard.insert(deviceId) }
      case .brokerConnected: brokerIsBack = true
      }
    }
    let returned: [String]? = brokerIsBack ? nil : Array(back)
    let requeues = brokerIsBack || !back.isEmpty
    var queries = [CommandStore.moving(Array(ids)), CommandStore.waiting(Array(heard))]
    if requeues { queries.insert(CommandStore.lock(Array(ids), andOf: returned), at: 0) }
    var read = try await connection.pipeline(queries)
    var more: [PostgresQuery] = []
    if requeues { more.append(CommandStore.requeue(try read.removeFirst().decode(UUID.self), of: returned)) }
    var movement = Movement(try read[0].map { try CommandStore.moving($0) })
    let missing = movement.fold(reports)
    let turns = try read[1].decode(String.self) + back
    if !turns.isEmpty { more.append(CommandStore.lookNow(turns)) }
    let records = try await movement.write(and: more, on: connection)
    return (missing, !turns.isEmpty || brokerIsBack, records)
  }

  /// Looks at what is due: a deadline has passed, or a waiting command may be tried again.
  /// - Returns: how many there were, the devices that may have room for their next commands, and what to tell.
  static func sweep(at now: Date, limit: Int, on connection: PostgresConnection) async throws -> (
    looked: Int, turns: Set<String>, records: [Event]
  ) {
    let due = try await connection.query(CommandStore.due(at: now, limit: limit)).map {
      try CommandStore.moving($0, and: Bool.self)
    }
    guard !due.isEmpty else { return (0, [], []) }
    var movement = Movement(due.map(\.0))
    var turns: Set<String> = []
    var later: [(id: UUID, at: Date)] = []
    for (command, dispatched) in due {
      guard let deadline = command.progress.deadline else { continue }
      if deadline <= now {
        movement.apply(CommandOccurrence(.deadlinePassed, at: now), to: command.head.id)
        turns.insert(command.head.deviceId)
      } else {
        later.append((command.head.id, dispatched ? deadline : min(deadline, now.addingTimeInterval(5))))
        if !dispatched { turns.insert(command.head.deviceId) }
      }
    }
    let looks = later.isEmpty ? [] : [CommandStore.look(later.map(\.id), at: later.map(\.at))]
    return (due.count, turns, try await movement.write(and: looks, on: connection))
  }

  /// Ends open commands of devices that are no more.
  /// - Returns: how many, and what to tell.
  static func end(
    ofDeleted devices: [DeletedDevice], at now: Date, limit: Int, on connection: PostgresConnection
  ) async throws -> (count: Int, records: [Event]) {
    let open = try await connection.query(CommandStore.open(ofDeleted: devices, limit: limit)).map {
      try CommandStore.moving($0)
    }
    var movement = Movement(open)
    for command in open { movement.apply(CommandOccurrence(.deviceDeleted, at: now), to: command.head.id) }
    return (open.count, try await movement.write(and: [], on: connection))
  }

  private mutating func fold(_ reports: [(deviceId: String, report: DeviceReport)]) -> Int {
    var missing = 0
    for (deviceId, report) in reports {
      guard case .command(let id, let occurrence, let answered) = report else { continue }
      guard let head = commands[id]?.head, head.deviceId == deviceId else {
        missing += 1
        continue
      }
      apply(occurrence, to: id)
      if occurrence.event == .undelivered { refused.insert(id) } else { refused.remove(id) }
      if let answered { records.append(CommandRecords.receipt(head, answered)) }
    }
    return missing
  }

  private mutating func apply(_ occurrence: CommandOccurrence, to id: UUID) {
    guard var command = commands[id] else { return }
    if command.progress.apply(occurrence, timeouts: command.head.timeouts) != .ignored {
      records.append(
        CommandRecords.changed(command.head, command.progress, by: occurrence.event, at: occurrence.at))
      commands[id] = command
    }
  }

  /// Writes what has moved, with the commit.
  /// - Returns: what tells of it.
  private func write(and more: [PostgresQuery], on connection: PostgresConnection) async throws -> [Event] {
    let moved = commands.values.filter(\.hasMoved).sorted { $0.head.id < $1.head.id }
    var statements: [PostgresQuery] = []
    if !moved.isEmpty { statements.append(CommandStore.update(moved)) }
    let final = moved.filter { !$0.progress.status.isOpen }
    if !final.isEmpty { statements.append(CommandStore.close(final.map(\.head.id))) }
    let sooner = moved.filter(\.hasNearerDeadline)
    if !sooner.isEmpty { statements.append(CommandStore.lookSooner(sooner)) }
    let waiting = refused.filter { commands[$0]?.progress.status == .pending }
    if !waiting.isEmpty { statements.append(CommandStore.waitForDevice(Array(waiting), at: .now)) }
    statements += more
    try await connection.enqueue(statements)
    return records
  }
}

extension MovingCommand {
  /// Whether it must be looked at before the deadline that it had when it was read.
  fileprivate var hasNearerDeadline: Bool {
    guard let now = progress.deadline, let before = readDeadline else { return false }
    return now < before
  }
}
