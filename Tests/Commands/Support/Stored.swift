import CommandsDomain
import Foundation
import Postgres
import Runtime
import TestSupport
import Wire

@testable import CommandsService

/// The commands' tables of a fixture of one's own, without a broker: what is told is looked at, and what the bridge would report
/// is said by the test.
final class Stored: Sendable {
  let organisation = UUID.v7()
  private let url: String
  let fixture: Fixture
  /// It remembers, as a replica does.
  let mover = Mover("test")

  init() async throws {
    url = try await PostgresServer.shared().createDatabase("commands")
    fixture = try await Fixture(url: url)
  }

  var store: CommandStore { fixture.service.store }
  var database: PostgresClient { fixture.runtime.database }

  func replica() async throws -> Fixture { try await Fixture(url: url) }

  /// A device that the copy of the registry knows.
  func device() async throws -> DeviceEntity {
    let id = Identifier.randomDeviceId()
    let device = DeviceEntity(
      id: .v7(), deviceId: id, mcuId: id, soc: "soc", boardId: .v7(), organisationId: organisation, rev: 1)
    try await fixture.tell([.present(.device(device))])
    return device
  }

  /// A command that is to be stored.
  func new(
    _ device: DeviceEntity, epoch: Int64 = 0, timeouts: Int = 30, lane: String = "default",
    exclusive: Bool = false, wait: Int64? = nil, type: String = "REBOOT"
  ) -> NewCommand {
    let delivery = Delivery(isExclusive: exclusive, waitMilliseconds: wait)
    let now = Date.now.wholeMilliseconds
    let timeouts = Timeouts(deliver: timeouts, acknowledge: timeouts, complete: timeouts)
    let command = Command(
      head: CommandHead(
        id: .v7(), organisationId: organisation, deviceId: device.deviceId, type: type, lane: lane,
        timeouts: timeouts, traceparent: nil), hardwareId: device.mcuId, deviceType: nil, params: [:],
      delivery: delivery, deviceRecord: device.id, createdAt: now, createdBy: "test",
      state: CommandState(createdAt: now, timeouts: timeouts, delivery: delivery, by: "test"))
    return NewCommand(
      command: command, created: CommandRecords.created(command),
      downlink: CommandRecords.downlink(
        command.head, params: [:], state: command.state, turn: CommandTurn(epoch: epoch, number: 0),
        of: device.id, by: "test", at: now),
      epoch: epoch, device: device)
  }

  /// Stores that many commands of a device, one after the other.
  /// - Returns: their ids, in order.
  func make(
    _ count: Int, _ device: DeviceEntity, epoch: Int64 = 0, timeouts: Int = 30, lane: String = "default",
    exclusive: Bool = false, wait: Int64? = nil, type: String = "REBOOT"
  ) async throws -> [UUID] {
    let new = (0..<count).map { _ in
      self.new(
        device, epoch: epoch, timeouts: timeouts, lane: lane, exclusive: exclusive, wait: wait, type: type)
    }
    let inserted = try await insert(new, epoch: epoch)
    guard inserted.stale.isEmpty else { throw TestSupportError("stale") }
    return new.map(\.command.head.id)
  }

  func insert(_ new: [NewCommand], epoch: Int64) async throws -> CommandStore.Inserted {
    try await fixture.insert(new, epoch: epoch)
  }

  /// What the bridge and devices say.
  func report(_ reports: [(deviceId: String, report: DeviceReport)]) async throws {
    try await database.applying { connection in
      _ = try await CommandBatch.apply(reports, by: self.mover, on: connection)
    }
  }

  func say(_ event: CommandEvent, _ ids: [UUID], of device: DeviceEntity, why: Undelivered? = nil)
    async throws
  {
    try await report(
      ids.map {
        (
          device.deviceId,
          .command($0, CommandOccurrence(event, at: .now, detail: why?.rawValue), answered: nil)
        )
      })
  }

  /// The commands that are given their turn now, in the order in which the bridge gets them, with their turns.
  func turns() async throws -> [CommandDownlink] {
    try await database.withTransaction { connection in
      try await Turns.give(limit: 1000, by: mover, on: connection).records.compactMap { event in
        guard event.topic == .deviceDownlink,
          case .command(let command) = try Downlink(type: event.type, payload: event.payload ?? [])
        else { return nil }
        return command
      }
    }
  }

  /// What of a device the bridge was given, in the order of creation.
  func given(of device: DeviceEntity) async throws -> [UUID] {
    try await database.query(
      "SELECT id FROM open_command WHERE device_id = \(device.deviceId) AND epoch IS NOT NULL ORDER BY seq"
    ).decode(UUID.self)
  }

  /// As if that much time had passed for what waits.
  func wait(seconds: Int) async throws {
    try await database.query(
      "UPDATE waiting_device SET try_at = try_at - \(Int64(seconds)) * interval '1 s'")
  }

  func number(_ query: PostgresQuery) async throws -> Int64 {
    try await database.query(query).first?.decode(Int64.self) ?? -1
  }
}

extension PostgresClient {
  /// A transaction as a `BatchConsumer` does it: once more, if a guard was missed.
  func applying<T: Sendable>(_ body: @escaping @Sendable (PostgresConnection) async throws -> T) async throws
    -> T
  {
    do { return try await withTransaction(body) } catch let error as PostgresError where error.isMissedGuard {
      return try await withTransaction(body)
    }
  }
}
