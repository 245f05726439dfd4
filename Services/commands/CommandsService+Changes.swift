import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// What users do to commands that there are.
extension CommandsService {
  /// Gives up a command that the broker does not have yet.
  /// - Returns: what it has become, with its story.
  /// - Throws: 404; 409 for one that is not PENDING.
  func cancel(_ id: UUID, in organisation: UUID?, by principal: Principal) async throws -> Command {
    try await store.database.withTransaction { connection in
      let cancelled = CommandOccurrence(.cancelled, at: Date.now.wholeMilliseconds, detail: principal.name)
      guard
        let done = try await CommandBatch.apply(
          cancelled, to: id, in: organisation, by: mover, on: connection)
      else { throw Problem.notFound("command") }
      if done.outcome == .ignored {
        throw Problem.conflict(
          "Only a PENDING command can be cancelled; this one is \(done.command.state.status.rawValue).")
      }
      try await outbox.tell(done.records, on: connection)
      try await connection.afterCommit { [turns] in turns.raise(done.turns) }
      guard let command = try await store.find(id, on: connection) else { throw Problem.notFound("command") }
      return command
    }
  }

  /// Makes a command once more that has come to nothing: for the same device, with the same params, lane, delivery and timeouts.
  /// - Throws: 404; 409 for one that is open or did what it should, and for one that its device would be refused now.
  func retry(
    _ id: UUID, in organisation: UUID?, by principal: Principal, trace: TraceContext, _ once: Once<Command>
  ) async throws -> Command {
    guard let original = try await command(id, in: organisation) else { throw Problem.notFound("command") }
    guard Lifecycle.outcome(original.state.status, .retried) != .ignored else {
      throw Self.noRetry(original.state.status)
    }
    let timeouts = original.head.timeouts
    let request = Request(
      type: original.head.type, params: original.params.object ?? JSONObject(), lane: original.head.lane,
      delivery: original.delivery, deliver: timeouts.deliver, acknowledge: timeouts.acknowledge,
      complete: timeouts.complete, retryOf: id)
    do {
      let device = try await device(original.head.deviceId, in: original.head.organisationId)
      // Not one that merely has the same text as its mcuId, nor one that was given its deviceId later.
      guard original.isOf(device) else { throw Problem.notFound("device") }
      return try await create(
        request, for: device.id.text, in: device.organisationId, by: principal, trace: trace, once)
    } catch let problem as Problem where problem.status == 404 {
      throw Problem.conflict("The device of this command is no more.")
    } catch let problem as Problem where problem.status == 422 && !problem.errors.isEmpty {
      let faults = JSONFaults(problem.errors)
      throw Problem.conflict("The device would be refused this command now: \(faults).")
    }
  }

  /// Notes with the original that there is another for it, in the transaction that makes that.
  func link(
    _ command: Command, retryOf original: UUID, by principal: Principal, on connection: PostgresConnection
  ) async throws {
    let id = command.head.id
    let retried = CommandOccurrence(.retried, at: command.createdAt, detail: "\(id.text) \(principal.name)")
    guard
      let done = try await CommandBatch.apply(
        retried, to: original, in: command.head.organisationId, by: mover, on: connection)
    else { throw Problem.notFound("command") }
    if done.outcome == .ignored { throw Self.noRetry(done.command.state.status) }
    try await connection.enqueue(CommandStore.link(id, retryOf: original))
    try await outbox.tell(done.records, on: connection)
  }

  private static func noRetry(_ status: CommandStatus) -> Problem {
    .conflict("Only a FAILED or TIMEOUT command can be tried again; this one is \(status.rawValue).")
  }

  /// Deletes a command; an open one ends first.
  /// - Throws: 404.
  func delete(_ id: UUID, in organisation: UUID?, by principal: Principal) async throws {
    try await store.database.withTransaction { connection in
      let deleted = CommandOccurrence(.deleted, at: Date.now.wholeMilliseconds, detail: principal.name)
      guard
        let done = try await CommandBatch.apply(
          deleted, to: id, in: organisation, by: mover, on: connection)
      else {
        throw Problem.notFound("command")
      }
      try await connection.enqueue([CommandStore.delete(id)])
      try await connection.afterCommit { [turns] in turns.raise(done.turns) }
      try await outbox.tell(done.records, on: connection)
    }
  }

  /// Deletes all commands of an organisation that are over and were created before a time, in small transactions. Nothing is
  /// told of each.
  /// - Returns: how many.
  func purge(in organisation: UUID, before cutoff: Date) async throws -> Int64 {
    var deleted: Int64 = 0
    var last: Int64? = 0
    while let after = last {
      try Task.checkCancellation()
      let step = try await store.purge(in: organisation, before: cutoff, after: after)
      deleted += step.deleted
      last = step.last
    }
    return deleted
  }
}
