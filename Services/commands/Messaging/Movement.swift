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
  /// Commands that the bridge gave back: whether it tried them, and nobody listened.
  private var givenBack: [UUID: Bool] = [:]

  private init(_ commands: [MovingCommand]) {
    self.commands = Dictionary(commands.map { ($0.head.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// What a batch of reports speaks of.
  private struct Subjects {
    var ids: Set<UUID> = []
    /// Devices that said something.
    var heard: Set<String> = []
    /// Devices that have come back.
    var back: Set<String> = []
    /// Devices to which a command was delivered.
    var delivered: Set<String> = []
    /// Devices whose commands the bridge gave back.
    var givenBack: Set<String> = []
    /// The newest connection of a bridge to the broker.
    var epoch: Int64?

    init(_ reports: [(deviceId: String, report: DeviceReport)]) {
      for (deviceId, report) in reports {
        switch report {
        case .command(let id, let occurrence, _):
          ids.insert(id)
          if occurrence.event == .undelivered { givenBack.insert(deviceId) }
          if occurrence.event == .sent { delivered.insert(deviceId) }
        case .heard(let reconnected):
          heard.insert(deviceId)
          if reconnected { back.insert(deviceId) }
        case .brokerConnected(let offset): epoch = max(offset, epoch ?? 0)
        }
      }
    }
  }

  /// Applies what devices and the bridge report.
  /// - Returns: how many reports were of commands that their device never had, whether there are turns to give, and what to
  ///   tell.
  static func apply(
    _ reports: [(deviceId: String, report: DeviceReport)], on connection: PostgresConnection
  ) async throws -> (missing: Int, turns: Bool, records: [Event]) {
    let subjects = Subjects(reports)
    let back = subjects.back.sorted()
    var queries = subjects.epoch.map { [CommandStore.begin(epoch: $0)] } ?? []
    queries.append(
      CommandStore.look(
        heard: Array(subjects.heard), delivered: Array(subjects.delivered),
        concerned: Array(subjects.givenBack)))
    if !back.isEmpty { queries.append(CommandStore.lock(Array(subjects.ids), andOf: back)) }
    queries.append(CommandStore.moving(Array(subjects.ids)))
    var answers = try await connection.pipeline(queries)
    if subjects.epoch != nil { answers.removeFirst() }
    let isWaiting = !answers[0].isEmpty
    var more: [PostgresQuery] = []
    if !back.isEmpty {
      more.append(CommandStore.requeue(try answers[1].decode(UUID.self), of: back))
    }
    var movement = Movement(try answers[answers.count - 1].map { try CommandStore.moving($0) })
    let missing = movement.fold(reports)
    let records = try await movement.write(and: more, on: connection)
    let turns = isWaiting || !back.isEmpty || subjects.epoch != nil || !movement.givenBack.isEmpty
    return (missing, turns, records)
  }

  /// Looks at what may be due: a deadline has passed, or has moved on since it was noted.
  /// - Returns: how many there were, whether there are turns to give, and what to tell.
  static func sweep(at now: Date, limit: Int, on connection: PostgresConnection) async throws -> (
    looked: Int, turns: Bool, records: [Event]
  ) {
    let due = try await connection.query(CommandStore.due(at: now, limit: limit)).map {
      try CommandStore.moving($0)
    }
    guard !due.isEmpty else { return (0, false, []) }
    var movement = Movement(due)
    var turns: Set<String> = []
    var later: [(id: UUID, at: Date)] = []
    for command in due {
      guard let deadline = command.progress.deadline else { continue }
      if deadline <= now {
        movement.apply(CommandOccurrence(.deadlinePassed, at: now), to: command.head.id)
        turns.insert(command.head.deviceId)
      } else {
        later.append((command.head.id, deadline))
      }
    }
    var more = later.isEmpty ? [] : [CommandStore.look(later.map(\.id), at: later.map(\.at))]
    if !turns.isEmpty { more.append(CommandStore.lookNow(turns.sorted())) }
    return (due.count, !turns.isEmpty, try await movement.write(and: more, on: connection))
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
      givenBack[id] = occurrence.event == .undelivered ? occurrence.detail != Undelivered.held.rawValue : nil
      if let answered { records.append(CommandRecords.receipt(head, answered)) }
    }
    return missing
  }

  private mutating func apply(_ occurrence: CommandOccurrence, to id: UUID) {
    guard var command = commands[id] else { return }
    if command.progress.apply(occurrence, timeouts: command.head.timeouts) != .ignored {
      records.append(
        CommandRecords.changed(
          command.head, command.progress, by: occurrence.event,
          at: command.progress.timeline.last?.at ?? occurrence.at))
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
    statements += waits + more
    try await connection.enqueue(statements)
    return records
  }

  /// What the bridge gave back waits again; unless it has been delivered before, and the device was only not there for the
  /// repeat.
  private var waits: [PostgresQuery] {
    let back = givenBack.compactMap { id, wasTried in commands[id].map { (command: $0, wasTried: wasTried) } }
    let refused = back.filter { $0.wasTried && $0.command.progress.status == .pending }.map(\.command.head)
    let held = back.filter { !$0.wasTried && $0.command.progress.status.mayBeLost }.map(\.command.head)
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

extension MovingCommand {
  /// Whether it must be looked at before the deadline that it had when it was read.
  fileprivate var hasNearerDeadline: Bool {
    guard let now = progress.deadline, let before = readDeadline else { return false }
    return now < before
  }
}
