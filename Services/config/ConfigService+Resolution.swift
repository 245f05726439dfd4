import ConfigDomain
import Directory
import FoundationEssentials
import Loop
import Postgres
import Runtime
import Wire

// What devices should have, worked out anew where something may be otherwise.
extension ConfigService {
  /// What the registry's copy tells, in its transaction, of devices that it has anew or otherwise than before.
  static func devicesChanged(waking due: Wakeup) -> DeviceDirectory.Changed {
    { recordIds, connection in
      try await connection.enqueue([DueStore.add(recordIds)])
      try await connection.afterCommit { due.signal() }
    }
  }

  /// Bindings that have changed or gone.
  func makeDue(
    _ bindings: [Binding], in traceparent: String?, _ connection: PostgresConnection
  ) async throws {
    guard !bindings.isEmpty else { return }
    try await connection.enqueue([DueStore.add(bindings, traceparent: traceparent)])
    try await connection.afterCommit { [due] in due.signal() }
  }

  /// Makes the devices of one target due.
  /// - Returns: whether there was one.
  func spreadDue() async throws -> Bool {
    try await database.withTransaction { try await DueStore.spread($0) }
  }

  /// Resolves a page of the devices that are due.
  /// - Returns: how many it took.
  func resolveDue(limit: Int) async throws -> Int {
    let now = Date.now.wholeMilliseconds
    return try await database.withTransaction { connection in
      let due = try await DueStore.take(limit: limit, connection)
      guard !due.isEmpty else { return 0 }
      let stories = Dictionary(due.map { ($0.recordId, $0.traceparent) }, uniquingKeysWith: { $1 ?? $0 })
      let ids = Array(stories.keys)
      try await configurations.ensure(ids, connection)
      let locked = try await configurations.lock(recordIds: ids, connection)
      let changes = try await resolve(locked, at: now, connection) { stories[$0] ?? nil }
      // What is left of the page is somebody's next: so many bytes are made at once, and no more.
      let kept = try await carryOut(changes, within: Self.documentBytes, connection)
      let left = Set(changes[kept...].map(\.before.recordId))
      try await connection.enqueue([DueStore.done(due.filter { !left.contains($0.recordId) })])
      return due.count
    }
  }

  /// Puts the device that is due longest behind all others.
  func postponeDue() async throws { try await database.query(DueStore.postpone) }

  /// Of documents that are made in one transaction.
  private static let documentBytes = 16 * 1024 * 1024

  /// What these devices should have, by the bindings as they are now.
  /// - Parameters:
  ///   - locked: their configurations, locked, and the devices as they are since.
  ///   - story: which story a device's change belongs to, by its record id.
  func resolve(
    _ locked: [(stored: ConfigurationStore.Stored, device: DeviceEntity)], at now: Date,
    _ connection: PostgresConnection, story: (UUID) -> String?
  ) async throws -> [ConfigurationChange] {
    guard !locked.isEmpty else { return [] }
    let targets = Set(locked.lazy.flatMap { Resolution.targets(of: $0.device) })
    let bindings = try await bindings.active(
      of: targets, in: Set(locked.lazy.map(\.device.organisationId)), connection)
    return locked.map { stored, device in
      var change = ConfigurationChange(stored)
      let traceparent = story(device.id)
      let winners = Resolution.winners(for: device, among: bindings)
      change.make(in: traceparent) { $0.settle(winners, by: device.rev, at: now) }
      if change.isSent { change.after.traceparent = traceparent }
      return change
    }
  }
}
