import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// The one way from waiting to the bridge.
enum Turns {
  /// Hands the next waiting commands of these devices to the bridge.
  /// - Returns: what to tell.
  static func give(to deviceIds: [String], on connection: PostgresConnection) async throws -> [Event] {
    let rows = try await connection.query(CommandStore.takeTurns(deviceIds))
    guard !rows.isEmpty else { return [] }
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
    if !moved.isEmpty { try await connection.enqueue([CommandStore.update(moved)]) }
    return records
  }
}
