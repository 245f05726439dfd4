import ConfigDomain
import Directory
import FoundationEssentials
import Postgres
import Runtime
import Wire

extension ConfigService {
  /// A device's configuration and how far it is; without a document, revision 0.
  /// - Throws: 404, 409.
  func desiredState(_ reference: String, in organisation: UUID?) async throws -> DeviceConfiguration {
    let device = try await device(reference, in: organisation)
    return try await configurations.find(device)
      ?? DeviceConfiguration(
        deviceId: device.deviceId, recordId: device.id, organisationId: device.organisationId)
  }

  /// Works out anew what these devices should have, and sends it where that has changed.
  /// - Parameters:
  ///   - locked: their configurations, locked.
  ///   - event: what it follows from.
  func settle(
    _ locked: [ConfigurationStore.Stored], after event: Event, at now: Date, by author: Author,
    _ connection: PostgresConnection
  ) async throws {
    let candidates = try await configurations.candidates(locked.map(\.configuration.deviceId), connection)
    let changes = locked.map { stored in
      var change = ConfigurationChange(stored)
      let winners = Resolution.winners(among: candidates[stored.configuration.deviceId] ?? [])
      change.make(in: author.traceparent) { $0.settle(winners, at: now) }
      if change.isSent { change.after.traceparent = author.traceparent }
      return change
    }
    try await carryOut(changes, after: [event], connection)
  }

  /// Applies what devices and the broker said, in its order.
  func record(_ news: [DeviceNews], _ connection: PostgresConnection) async throws {
    let locked = try await configurations.lockPresent(Array(Set(news.map(\.deviceId))), connection)
    var changes = locked.map { ConfigurationChange($0) }
    let index = Dictionary(uniqueKeysWithValues: changes.enumerated().map { ($1.before.deviceId, $0) })
    for item in news {
      guard let index = index[item.deviceId] else { continue }
      changes[index].make(in: item.traceparent) { item.apply(to: &$0) }
    }
    try await carryOut(changes, after: [], connection)
  }

  /// The broker may have lost what it took within the last hour (Mosquitto saves its retained messages each half
  /// hour): all of it is due again.
  func brokerMayHaveForgotten(_ connection: PostgresConnection) async throws {
    let now = Date.now.wholeMilliseconds
    try await configurations.forget(since: now - 3600, at: now, connection)
  }

  /// Sends documents again that the broker has not confirmed in time.
  /// - Returns: how many.
  func sendDue(limit: Int) async throws -> Int {
    let now = Date.now.wholeMilliseconds
    return try await database.withTransaction { connection in
      let due = try await configurations.lockDue(at: now, limit: limit, connection)
      let changes = due.map { stored in
        var change = ConfigurationChange(stored)
        change.make(in: stored.traceparent) { $0.sendAgain(at: now) }
        return change
      }
      try await carryOut(changes, after: [], connection)
      return due.count
    }
  }

  /// Clears the configurations of devices that are no more.
  /// - Returns: how many.
  func clearDeletedDevices(limit: Int) async throws -> Int {
    try await database.withTransaction { connection in
      let devices = try await DeletedDevices.due(limit: limit, on: connection)
      guard !devices.isEmpty else { return 0 }
      try await configurations.clear(devices, connection)
      try await DeletedDevices.settle(devices, on: connection)
      return devices.count
    }
  }

  /// Writes changes, their documents and their events in the open transaction.
  private func carryOut(
    _ changes: [ConfigurationChange], after first: [Event], _ connection: PostgresConnection
  ) async throws {
    try await configurations.save(changes.map { ($0.before, $0.after) }, connection)
    let documents = try await documents(changes.filter(\.isSent).map(\.after), connection)
    let events = first + changes.flatMap(\.events) + documents
    try await outbox.tell(events, on: connection)
  }

  private func documents(
    _ stored: [ConfigurationStore.Stored], _ connection: PostgresConnection
  ) async throws -> [Event] {
    guard !stored.isEmpty else { return [] }
    let ids = Set(stored.flatMap { $0.configuration.slots.values.map(\.artefact.id) })
    let contents = try await artefacts.contents(Array(ids), connection).mapValues { try JSON(parsing: $0) }
    return try stored.map { stored in
      let configuration = stored.configuration
      let document = configuration.document(contents: contents)
      guard document.count <= DeviceConfiguration.documentLimit else {
        let message =
          "the device's document would be \(document.count) bytes, at most \(DeviceConfiguration.documentLimit) go"
        throw Problem.unprocessable([JSONFault(pointer: "/artefactId", message: message)])
      }
      return Downlink.desired(revision: configuration.revision, document: document)
        .event(deviceId: configuration.deviceId, traceparent: stored.traceparent)
    }
  }
}
