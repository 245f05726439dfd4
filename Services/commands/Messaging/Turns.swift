import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// The one way from waiting to the bridge.
enum Turns {
  /// Looks at the devices whose time has come and hands their next commands to the bridge.
  /// - Returns: how many devices it looked at, and what to tell.
  static func give(
    limit: Int, by mover: Mover, on connection: PostgresConnection
  ) async throws -> (looked: Int, records: [Event]) {
    let devices = try await connection.query(CommandStore.dueDevices(limit: limit))
      .decode((String, Bool).self).map { (id: $0.0, listens: $0.1) }
    guard !devices.isEmpty else { return (0, []) }
    let open = try await connection.pipeline([
      CommandStore.lock(devices: devices.map(\.id)), CommandStore.queues(devices.map(\.id)),
    ])[1]
    let picked = try picked(of: devices, open)
    let rows = picked.isEmpty ? [] : try await connection.query(CommandStore.takeTurns(picked)).map(\.self)
    let now = Date.now.wholeMilliseconds
    var moved: [LoadedCommand] = []
    var records: [Event] = []
    for row in rows {
      var (command, params, own, turn) = try CommandStore.turn(row)
      let (device, name) = try CommandStore.origin(row)
      guard
        command.state.apply(
          CommandOccurrence(.dispatched, at: now), timeouts: command.head.timeouts, by: mover.name) == .noted
      else { continue }
      moved.append(command)
      records.append(CommandRecords.changed(command.head, command.state, by: .dispatched, at: now))
      records.append(
        CommandRecords.downlink(
          command.head, params: try JSON(stored: params), own: own, state: command.state, turn: turn,
          of: device, by: name, at: now))
    }
    let served = Set(moved.map(\.head.deviceId))
    var statements = moved.isEmpty ? [] : [CommandStore.update(moved)]
    statements += CommandStore.looked(devices.map(\.id), served: served.sorted())
    try await connection.enqueue(statements)
    try await connection.afterCommit { [moved, memory = mover.memory] in memory.settle(moved) }
    return (devices.count, records)
  }

  /// Which of what is open goes now.
  private static func picked(of devices: [(id: String, listens: Bool)], _ open: PostgresRows) throws -> [UUID]
  {
    var lanes: [String: [String: LaneWindow.Lane]] = [:]
    for row in open {
      let (id, deviceId, lane, seq, isExclusive, awaits, waits, isTaken, isForDevice) = try row.decode(
        (UUID, String, String, Int64, Bool, Bool, Bool, Bool, Bool).self)
      lanes[deviceId, default: [:]][lane, default: LaneWindow.Lane()].add(
        LaneWindow.Waiting(
          id: id, seq: seq, isExclusive: isExclusive, awaitsDevice: awaits, isForDevice: isForDevice),
        waits: waits,
        isTaken: isTaken)
    }
    return devices.flatMap { device in
      LaneWindow.turns(of: lanes[device.id].map { Array($0.values) } ?? [], listens: device.listens)
    }
  }
}
