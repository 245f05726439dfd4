import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// The one way from waiting to the bridge.
enum Turns {
  /// Looks at the devices whose time has come and hands their next commands to the bridge.
  /// - Returns: how many devices it looked at, and what to tell.
  static func give(limit: Int, on connection: PostgresConnection) async throws -> (
    looked: Int, records: [Event]
  ) {
    let devices = try await connection.query(CommandStore.dueDevices(limit: limit)).decode(String.self)
    guard !devices.isEmpty else { return (0, []) }
    let rows = try await connection.pipeline([
      CommandStore.lock(devices: devices), CommandStore.takeTurns(devices),
    ])[1]
    let now = Date.now.wholeMilliseconds
    var moved: [MovingCommand] = []
    var records: [Event] = []
    for row in rows {
      var (command, params, turn) = try CommandStore.turn(row)
      guard
        command.progress.apply(CommandOccurrence(.dispatched, at: now), timeouts: command.head.timeouts)
          == .noted
      else { continue }
      moved.append(command)
      records.append(CommandRecords.changed(command.head, command.progress, by: .dispatched, at: now))
      records.append(
        CommandRecords.downlink(
          command.head, params: try JSON(stored: params), progress: command.progress, turn: turn, at: now))
    }
    let served = Set(moved.map(\.head.deviceId))
    var statements = moved.isEmpty ? [] : [CommandStore.update(moved)]
    statements += CommandStore.looked(devices, served: served.sorted())
    try await connection.enqueue(statements)
    return (devices.count, records)
  }
}
