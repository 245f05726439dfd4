import CommandsDomain
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
  /// Devices that may have room for their next commands.
  private var turns: Set<String>

  private init(_ commands: [MovingCommand], turns: Set<String>) {
    self.commands = Dictionary(commands.map { ($0.head.id, $0) }, uniquingKeysWith: { first, _ in first })
    self.turns = turns
  }

  /// Applies what devices and the bridge report.
  /// - Returns: how many reports were of commands that their device never had.
  static func apply(
    _ reports: [(deviceId: String, report: DeviceReport)], on connection: PostgresConnection
  ) async throws -> Int {
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
    let read = try await connection.pipeline([
      CommandStore.moving(Array(ids)), CommandStore.waiting(Array(heard)),
    ])
    var movement = Movement(
      try read[0].map { try CommandStore.moving($0) },
      turns: Set(try read[1].map { try $0.decode(String.self) }))
    let missing = movement.fold(reports)
    var requeues: [PostgresQuery] = []
    if !back.isEmpty { requeues.append(CommandStore.requeue(Array(back))) }
    if brokerIsBack { requeues.append(CommandStore.requeue(nil)) }
    movement.turns.formUnion(back)
    try await movement.write(and: requeues, on: connection)
    return missing
  }

  /// Looks at what is due: a deadline has passed, or a waiting command may be tried again.
  static func sweep(at now: Date, limit: Int, on connection: PostgresConnection) async throws -> Int {
    let due = try await connection.query(CommandStore.due(at: now, limit: limit)).map {
      try CommandStore.moving($0, and: Bool.self)
    }
    guard !due.isEmpty else { return 0 }
    var movement = Movement(due.map(\.0), turns: [])
    var later: [(id: UUID, at: Date)] = []
    for (command, dispatched) in due {
      guard let deadline = command.progress.deadline else { continue }
      if deadline <= now {
        movement.apply(CommandOccurrence(.deadlinePassed, at: now), to: command.head.id)
        movement.turns.insert(command.head.deviceId)
      } else {
        later.append((command.head.id, dispatched ? deadline : min(deadline, now.addingTimeInterval(5))))
        if !dispatched { movement.turns.insert(command.head.deviceId) }
      }
    }
    let looks = later.isEmpty ? [] : [CommandStore.look(later.map(\.id), at: later.map(\.at))]
    try await movement.write(and: looks, on: connection)
    return due.count
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

  /// Writes what has moved, then gives waiting commands their turns.
  private func write(and more: [PostgresQuery], on connection: PostgresConnection) async throws {
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
    if !records.isEmpty { statements.append(Outbox.insert(records)) }
    try await connection.enqueue(statements)
    if !turns.isEmpty { try await Self.dispatch(Array(turns), on: connection) }
  }

  /// Hands the next waiting commands of these devices to the bridge.
  private static func dispatch(_ deviceIds: [String], on connection: PostgresConnection) async throws {
    let rows = try await connection.query(CommandStore.takeTurns(deviceIds))
    guard !rows.isEmpty else { return }
    let now = Date.now.wholeMilliseconds
    var moved: [MovingCommand] = []
    var records: [Event] = []
    for row in rows {
      var (command, params) = try CommandStore.moving(row, and: PostgresJSON.self)
      guard
        command.progress.apply(CommandOccurrence(.dispatched, at: now), timeouts: command.head.timeouts)
          == .noted
      else { continue }
      moved.append(command)
      records.append(CommandRecords.changed(command.head, command.progress, by: .dispatched, at: now))
      records.append(
        CommandRecords.downlink(
          command.head, params: try JSON(stored: params), progress: command.progress, at: now))
    }
    guard !moved.isEmpty else { return }
    try await connection.enqueue([CommandStore.update(moved), Outbox.insert(records)])
  }
}

extension MovingCommand {
  /// Whether it must be looked at before the deadline that it had when it was read.
  fileprivate var hasNearerDeadline: Bool {
    guard let now = progress.deadline, let before = readDeadline else { return false }
    return now < before
  }
}
