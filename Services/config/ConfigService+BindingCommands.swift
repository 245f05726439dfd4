import ConfigDomain
import Directory
import FoundationEssentials
import Postgres
import Runtime
import Wire

// Bindings that commands make and drop, and what becomes of them (decision 27).
extension ConfigService {
  /// Keeps what was asked for, in the transaction that moves the offsets.
  func keep(
    _ asked: [BindingCommandStore.Asked], withdrawn: [UUID], _ connection: PostgresConnection
  ) async throws {
    var statements: [PostgresQuery] = []
    if !asked.isEmpty { statements.append(BindingCommandStore.add(asked)) }
    if !withdrawn.isEmpty { statements.append(BindingCommandStore.withdraw(withdrawn)) }
    guard !statements.isEmpty else { return }
    try await connection.enqueue(statements)
    try await connection.afterCommit { [signal = self.asked] in signal.signal() }
  }

  /// Makes or drops the binding that was asked for first. Where that fails by no fault of the request, it is tried again a second
  /// later, and others of other devices go first.
  /// - Returns: whether there was one.
  func carryOutNextRequest() async throws -> Bool {
    do {
      do { return try await carryOutNext(settled: nil) } catch let unsettled as Unsettled {
        // Never on a guess: what this copy of the registry does not know may only not have come yet.
        do { try await directory.settled() } catch {
          throw Stuck(commandId: unsettled.commandId, error: error)
        }
        // Another replica may have it by now, and the next be such a one, too.
        do { return try await carryOutNext(settled: unsettled.commandId) } catch is Unsettled { return true }
      }
    } catch let stuck as Stuck where (stuck.error as? PostgresError)?.isDeadlock == true {
      // A request that another replica began while this one looked for its next stays locked here, though it is passed over; who
      // follows it may hold the device of the next.
      return true
    } catch let stuck as Stuck {
      try await database.query(BindingCommandStore.postpone(stuck.commandId))
      throw stuck.error
    }
  }

  private struct Stuck: Error {
    let commandId: UUID
    let error: any Error
  }

  func forgetRequests() async throws { try await BindingCommandStore.sweep(database) }

  /// The copy of the registry may be behind.
  private struct Unsettled: Error { let commandId: UUID }

  /// It cannot be done; what was begun of it is undone with the transaction.
  private struct Refused: Error {
    let asked: BindingCommandStore.Asked
    let fault: CommandFault
  }

  /// - Parameter settled: the request for which the copy of the registry has caught up.
  private func carryOutNext(settled: UUID?) async throws -> Bool {
    do {
      return try await database.withTransaction { connection in
        guard let asked = try await BindingCommandStore.next(connection) else { return false }
        let id = asked.request.commandId
        do { try await carryOut(asked, connection) } catch let refusal as Refusal {
          if refusal.isOfCopy, settled != id { throw Unsettled(commandId: id) }
          throw Refused(asked: asked, fault: refusal.fault)
        } catch let problem as Problem where problem.status == 422 {
          let why = problem.errors.isEmpty ? problem.detail : "\(JSONFaults(problem.errors))"
          throw Refused(asked: asked, fault: CommandFault(code: "refused", message: why))
        } catch is CancellationError {
          throw CancellationError()
        } catch { throw Stuck(commandId: id, error: error) }
        return true
      }
    } catch let refused as Refused {
      try await database.withTransaction { connection in
        let request = refused.asked.request
        guard try await BindingCommandStore.lock(new: request.commandId, connection) else { return }
        try await connection.enqueue([BindingCommandStore.done([request.commandId])])
        let answer = BindingAnswer(id: request.commandId, status: .failed, error: refused.fault)
        try await outbox.tell(
          [
            Uplink.followed(answer).event(
              deviceId: request.deviceId, traceparent: refused.asked.traceparent)
          ], on: connection)
      }
      return true
    }
  }

  /// Why it cannot be done.
  struct Refusal: Error {
    let fault: CommandFault
    /// Whether that is so by this copy of the registry.
    let isOfCopy: Bool

    init(_ code: String, _ message: String, isOfCopy: Bool = false) {
      (fault, self.isOfCopy) = (CommandFault(code: code, message: message), isOfCopy)
    }
  }

  private func carryOut(
    _ asked: BindingCommandStore.Asked, _ connection: PostgresConnection
  ) async throws {
    let request = asked.request
    let now = Date.now.wholeMilliseconds
    // The command is over, or about to be: a binding that nobody asks for any more is not made.
    guard now < request.deliverBy else {
      return try await connection.enqueue([BindingCommandStore.done([request.commandId])])
    }
    let order: BindingOrder
    do { order = try BindingOrder(request.action, params: request.params) } catch {
      throw Refusal("params", "\(error)")
    }
    let author = Author(
      name: request.by, traceparent: asked.traceparent ?? TraceContext().traceparent)
    try await connection.enqueue([BindingLock.share(request.organisationId)])
    try await configurations.ensure([request.deviceRecord], isFirst: true, connection)
    guard
      let (stored, device) = try await configurations.lock(recordIds: [request.deviceRecord], connection)
        .first,
      device.organisationId == request.organisationId
    else {
      throw Refusal("unknownDevice", "There is no such device.", isOfCopy: true)
    }
    guard let target = order.target(in: device) else {
      throw Refusal(
        "unknownComponent", "The device has no component \(order.component ?? "").", isOfCopy: true)
    }
    let change = Change(
      commandId: request.commandId, target: target, locked: (stored, device), at: now, author: author)
    switch request.action {
    case .bind: try await bind(order, change, connection)
    case .unbind: try await unbind(order, change, connection)
    }
  }

  private struct Change: Sendable {
    let commandId: UUID
    let target: Target
    let locked: (stored: ConfigurationStore.Stored, device: DeviceEntity)
    let at: Date
    let author: Author

    var device: DeviceEntity { locked.device }
  }

  private func bind(
    _ order: BindingOrder, _ change: Change, _ connection: PostgresConnection
  ) async throws {
    let device = change.device
    guard let id = order.artefactId,
      let artefact = try await artefacts.hold(id, in: device.organisationId, connection)
    else { throw Refusal("unknownArtefact", "There is no such artefact.") }
    if let slot = order.slot, slot != artefact.slot {
      throw Refusal("wrongSlot", "The artefact is of the slot \(artefact.slot).")
    }
    let present = try await bindings.lock(
      change.target, slot: artefact.slot, in: device.organisationId, connection)
    let priority = order.priority ?? present?.priority ?? 0
    let binding =
      present?.changed(to: artefact, priority: priority, at: change.at, by: change.author.name)
      ?? Binding(
        target: change.target, to: artefact, priority: priority, at: change.at, by: change.author.name)
    let active = ActiveBinding(binding, profile: artefact.profile, artefact: artefact.reference)
    let paths = active.paths(in: device)
    if paths.isEmpty {
      throw Refusal(
        "notFitting", "The artefact is for another board or sensor profile than the target's.", isOfCopy: true
      )
    }
    var events: [Event] = []
    if binding != present {
      events.append(try await put(binding, before: present, of: device, by: change.author, connection))
    }
    let changes = try await resolve([change.locked], at: change.at, connection) { _ in
      change.author.traceparent
    }
    let after = changes.last?.after.configuration ?? change.locked.stored.configuration
    let won = paths.filter { after.slots[$0]?.bindingId == binding.id }
    if won.isEmpty {
      throw Refusal("outranked", "A more specific binding stands before it.", isOfCopy: true)
    }
    try await follow(won, in: after, change, connection)
    try await carryOut(changes, after: events, refusesTooLarge: true, connection)
  }

  private func unbind(
    _ order: BindingOrder, _ change: Change, _ connection: PostgresConnection
  ) async throws {
    guard
      let binding = try await bindings.lock(
        change.target, slot: order.slot ?? "", in: change.device.organisationId, connection)
    else { throw Refusal("notBound", "Nothing is bound there.") }
    let paths = change.locked.stored.configuration.slots.filter { $0.value.bindingId == binding.id }.map(
      \.key)
    let event = try await remove(
      binding, of: change.device, at: change.at, by: change.author, connection)
    let changes = try await resolve([change.locked], at: change.at, connection) { _ in
      change.author.traceparent
    }
    let after = changes.last?.after.configuration ?? change.locked.stored.configuration
    try await follow(paths, in: after, change, connection)
    try await carryOut(changes, after: [event], connection)
  }

  private func follow(
    _ paths: [String], in configuration: DeviceConfiguration, _ change: Change,
    _ connection: PostgresConnection
  ) async throws {
    try await connection.query(
      BindingCommandStore.follow(change.commandId, BindingFollow(paths, of: configuration)))
  }

  /// Holds what commands wait for against configurations as they are now, which are locked, and tells the commands.
  /// - Returns: what is told.
  func lookAtFollowed(
    _ configurations: [DeviceConfiguration], _ connection: PostgresConnection
  ) async throws -> [Event] {
    guard !configurations.isEmpty else { return [] }
    let followed = try await BindingCommandStore.following(configurations.map(\.deviceId), connection)
    guard !followed.isEmpty else { return [] }
    let known = Dictionary(configurations.map { ($0.deviceId, $0) }, uniquingKeysWith: { $1 })
    var (events, done): ([Event], [UUID]) = ([], [])
    var moved: [BindingCommandStore.Followed] = []
    for var item in followed {
      guard let configuration = known[item.deviceId], configuration.recordId == item.recordId else {
        continue
      }
      let steps = item.follow.look(at: configuration, isOnline: item.isOnline)
      guard !steps.isEmpty else { continue }
      let answers = steps.map { $0.answer(item.commandId, revision: item.follow.revision) }
      events += answers.map {
        Uplink.followed($0).event(deviceId: item.deviceId, traceparent: item.traceparent)
      }
      if answers.contains(where: \.isEnd) { done.append(item.commandId) } else { moved.append(item) }
    }
    var statements: [PostgresQuery] = []
    if !done.isEmpty { statements.append(BindingCommandStore.done(done)) }
    if !moved.isEmpty { statements.append(BindingCommandStore.tell(moved)) }
    try await connection.enqueue(statements)
    return events
  }
}

extension BindingAnswer {
  fileprivate var isEnd: Bool { status == .success || status == .failed }
}

extension BindingFollow.Step {
  fileprivate func answer(_ id: UUID, revision: Int64) -> BindingAnswer {
    switch self {
    case .sent: BindingAnswer(id: id, status: .sent)
    case .acknowledged: BindingAnswer(id: id, status: .acknowledged)
    case .succeeded: BindingAnswer(id: id, status: .success, result: ["revision": .int(revision)])
    case .failed(let fault, let isByDevice):
      BindingAnswer(id: id, status: .failed, error: fault, isByDevice: isByDevice)
    }
  }
}
