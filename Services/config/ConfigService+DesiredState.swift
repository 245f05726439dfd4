import ConfigDomain
import Directory
import FoundationEssentials
import Postgres
import Runtime
import Wire

extension ConfigService {
  /// A device's configuration, and how far it is.
  struct DesiredState: Sendable {
    let configuration: DeviceConfiguration
    /// Whether the device is connected, as far as this service has heard.
    let isOnline: Bool
    /// By path, the winner first; nil where nobody asked.
    var candidates: [String: [Candidate]]?
  }

  /// A device's configuration and how far it is; without a document, revision 0.
  /// - Parameter isExplained: with all candidates, as the bindings are now.
  /// - Throws: 404, 409.
  func desiredState(
    _ reference: String, in organisation: UUID?, isExplained: Bool
  ) async throws -> DesiredState {
    let device = try await device(reference, in: organisation)
    let (configuration, isOnline) =
      try await configurations.find(device)
      ?? (
        DeviceConfiguration(
          deviceId: device.deviceId, recordId: device.id, organisationId: device.organisationId), false
      )
    var state = DesiredState(configuration: configuration, isOnline: isOnline)
    if isExplained {
      state.candidates = try await database.withConnection { connection in
        let rows = try await connection.query(DirectoryDevices.query([device.id]))
        guard let device = try DirectoryDevices.read(rows).first else { return [:] }
        let bindings = try await bindings.active(
          of: Resolution.targets(of: device), in: [device.organisationId], connection)
        return Resolution.candidates(for: device, among: bindings)
      }
    }
    return state
  }

  /// Keeps who is there and who is gone.
  func heard(
    _ words: [(deviceId: String, word: PresenceWord)], _ connection: PostgresConnection
  ) async throws {
    let news = presence.news(words)
    if news.isEmpty { return }
    try await connection.enqueue(PresenceTable.keep(news)) { [presence] in presence.kept(news, $0) }
  }

  /// Applies what devices and the broker said, in its order.
  /// - Parameters:
  ///   - heard: devices of which something was heard: a command may wait for that.
  ///   - came: those of them that have just connected.
  func record(
    _ news: [DeviceObservation], heard: Set<String>, came: Set<String>, _ connection: PostgresConnection
  ) async throws {
    let now = Date.now.wholeMilliseconds
    var devices = Set(news.map(\.deviceId))
    var stale: [String] = []
    if !came.isEmpty {
      stale = try await connection.query(
        ConfigurationStore.stale(came.sorted(), confirmedBefore: now - Delivery.trust)
      ).decode(String.self)
      devices.formUnion(stale)
    }
    let others = heard.subtracting(devices)
    if !others.isEmpty {
      devices.formUnion(
        try await connection.query(BindingCommandStore.followed(others.sorted())).decode(String.self))
    }
    guard !devices.isEmpty else { return }
    let locked = try await configurations.lockPresent(Array(devices), connection)
    var changes = locked.map { ConfigurationChange($0) }
    let index = Dictionary(uniqueKeysWithValues: changes.enumerated().map { ($1.before.deviceId, $0) })
    for item in news {
      guard let index = index[item.deviceId] else { continue }
      changes[index].make(in: item.traceparent) { item.apply(to: &$0) }
    }
    for device in stale {
      guard let index = index[device] else { continue }
      changes[index].make(in: locked[index].traceparent) { $0.came(at: now) }
    }
    try await carryOut(changes, connection)
  }

  /// A broker is there, anew or for the first time. What it may have forgotten is made due by the sweeper, in pages: here other
  /// devices' configurations are locked.
  func brokerCame(at time: Date, _ connection: PostgresConnection) async throws {
    try await connection.enqueue([ConfigurationStore.brokerCame(at: time, heardAt: .now.wholeMilliseconds)])
  }

  /// Makes due what a broker may have forgotten.
  /// - Returns: how many.
  func doubtTheBroker(limit: Int) async throws -> Int {
    try await database.withTransaction {
      try await configurations.forget(at: Date.now.wholeMilliseconds, limit: limit, $0)
    }
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
      try await carryOut(changes, connection)
      return due.count
    }
  }

  /// Clears the configurations of devices that are no more, what the broker keeps for them, and their own bindings.
  /// - Returns: how many.
  func clearDeletedDevices(limit: Int, at now: Date = .now) async throws -> Int {
    let cleared = try await database.withTransaction { connection in
      let devices = try await DeletedDevices.due(limit: limit, on: connection)
      guard !devices.isEmpty else { return devices }
      let kept = try await configurations.clear(devices, at: now, connection)
      try await outbox.tell(
        kept.map { Downlink.clear($0.topic).event(deviceId: $0.deviceId, traceparent: nil) }, on: connection)
      try await connection.enqueue([PresenceTable.forget(devices.compactMap(\.deviceId))])
      try await DeletedDevices.settle(devices, on: connection)
      return devices
    }
    if !cleared.isEmpty { try await removeBindings(of: cleared.map(\.id)) }
    return cleared.count
  }

  /// Writes changes, their documents and their events in the open transaction, as far as the documents are no more than so many
  /// bytes. A device whose document would be too large keeps the one it has.
  /// - Parameters:
  ///   - first: what is told before.
  ///   - refusesTooLarge: for a change that somebody asks for of one device: then it is not made.
  /// - Returns: how many of them.
  /// - Throws: 422 for a document that is too large.
  @discardableResult func carryOut(
    _ changes: [ConfigurationChange], after first: [Event] = [], within limit: Int = .max,
    refusesTooLarge: Bool = false, _ connection: PostgresConnection
  ) async throws -> Int {
    var (saved, told, bytes): ([ConfigurationChange], [Event], Int) = ([], first, 0)
    for (change, document) in zip(changes, try await documents(changes, connection)) {
      var change = change
      told += change.events
      switch document {
      case .success(let event):
        if let event { told.append(event) }
        bytes += event?.payload?.count ?? 0
      case .failure(let fault):
        if refusesTooLarge {
          throw Problem.unprocessable([JSONFault(pointer: "/artefactId", message: fault.reason)])
        }
        change.after.configuration.cannotBeSent()
        logger.warning(
          "a device keeps the document it has",
          ["deviceId": change.before.deviceId, "reason": fault.reason])
      }
      saved.append(change)
      if bytes >= limit { break }
    }
    try await configurations.save(saved.map { ($0.before, $0.after) }, connection)
    told += try await lookAtFollowed(saved.map(\.after.configuration), connection)
    try await outbox.tell(told, on: connection)
    return saved.count
  }

  private struct TooLarge: Error { let reason: String }

  /// The documents of those that are sent, made as they are looked at; nil for the others.
  private func documents(
    _ changes: [ConfigurationChange], _ connection: PostgresConnection
  ) async throws -> some Sequence<Result<Event?, TooLarge>> {
    let ids = Set(
      changes.lazy.filter(\.isSent).flatMap { $0.after.configuration.slots.values.map(\.artefact.id) })
    let contents =
      ids.isEmpty
      ? [:] : try await artefacts.contents(Array(ids), connection)
    return changes.lazy.map { change in
      guard change.isSent else { return .success(nil) }
      let configuration = change.after.configuration
      let document = configuration.document(contents: contents)
      if let reason = DeviceConfiguration.fault(ofDocument: document.count) {
        return .failure(TooLarge(reason: reason))
      }
      return .success(
        Downlink.desired(revision: configuration.revision, document: document)
          .event(deviceId: configuration.deviceId, traceparent: change.after.traceparent))
    }
  }
}
