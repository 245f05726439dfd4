import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

/// A device that a transaction has made or changed.
struct DeviceChange: Sendable {
  /// Nil for one that was made.
  let before: Device?
  let device: Device

  init(from before: Device? = nil, to device: Device) { (self.before, self.device) = (before, device) }
}

// The groups whose members follow a query are kept up to date in the transaction of whatever changes: of a device, or
// of the query.
extension RegistryService {
  /// Brings the groups up to date with devices of one organisation, however many, and tells of all that has changed.
  ///
  /// The transaction has begun with `GroupLock.share`, and then written the devices.
  /// - Returns: the records for the outbox.
  func settle(
    _ changes: [DeviceChange], ofNew prepared: [Event]? = nil, _ context: RequestContext,
    on connection: PostgresConnection
  ) async throws -> [Event] {
    guard let organisation = changes.first?.device.organisationId else { return [] }
    let table = MembershipTable(database: connection)
    let moves = try await table.follow(changes.map(\.device.id), in: organisation)
    var records = changes.map { DeviceRecord(device: $0.device) }
    // One that was just made has no components, and no groups but these.
    let areNew = moves.isEmpty && changes.allSatisfy { $0.before == nil }
    if areNew, let prepared { return prepared }
    if !areNew {
      records = try await DeviceRecordTable(database: connection).records(of: changes.map(\.device.id))
    }
    let before = Dictionary(changes.map { ($0.device.id, $0.before) }, uniquingKeysWith: { $1 })
    let devices = records.flatMap { record in
      let before = (before[record.id] ?? nil).map { DeviceRecord(device: $0) }
      return record.records(before == nil ? .created : .updated, context, from: before)
    }
    return devices + Self.told(of: moves, records, context)
  }

  /// The public events of who has come into groups and left them.
  private static func told(
    of moves: [MembershipTable.Move], _ records: [DeviceRecord], _ context: RequestContext
  ) -> [Event] {
    let known = Dictionary(records.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    return moves.flatMap { move in
      [(true, move.joined), (false, move.left)].flatMap { isJoin, ids in
        MembershipChange(
          group: move.group, isJoin: isJoin,
          members: ids.compactMap { known[$0].map(MembershipChange.Member.init) }
        ).records(context)
      }
    }
  }

  /// Tells of a change of one group, whose lock is held alone: the records of its devices, and the public events. However
  /// many devices it moves, few are in memory at a time.
  /// - Parameter first: what is told before.
  /// - Returns: what is left to be told, last.
  func tell(
    _ first: [Event], _ move: MembershipTable.Move, _ context: RequestContext,
    on connection: PostgresConnection
  ) async throws -> [Event] {
    let table = DeviceRecordTable(database: connection)
    if !move.isEmpty { try await table.advance(move.joined + move.left) }
    var waiting = first
    for (isJoin, ids) in [(true, move.joined), (false, move.left)] {
      for start in stride(from: 0, to: ids.count, by: Self.devicesAtOnce) {
        let records = try await table.records(of: Array(ids[start...].prefix(Self.devicesAtOnce)))
        try await outbox.tell(waiting, on: connection)
        waiting =
          records.flatMap { $0.entityRecord(context) }
          + MembershipChange(
            group: move.group, isJoin: isJoin, members: records.map(MembershipChange.Member.init)
          ).records(context)
      }
    }
    return waiting
  }

  private static var devicesAtOnce: Int { 1000 }
}

extension MembershipChange.Member {
  init(_ record: DeviceRecord) {
    self.init(id: record.id, deviceId: record.device.deviceId, rev: record.rev + record.ahead)
  }
}
