import CommandsDomain
import Directory
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// One piece of work of a campaign, in the transaction that has its row locked: whoever is killed in the middle has done
/// nothing, and the next one does it.
struct CampaignStep: Sendable {
  let service: CommandsService
  let epoch: Int64
  /// The copy of the registry was as far as the registry when this began: who is not in it is no more.
  let isSettled: Bool

  /// A device is not as it was read, or the epoch is not the newest: once more.
  struct Stale: Error {}
  /// Something is not known yet that the registry has: once more when the copy has caught up.
  struct Unsettled: Error { let id: UUID }

  /// So many rows are one transaction where nothing goes to devices.
  private static let page = 500
  /// Until what is on its way may have arrived.
  private static let breath = 0.025
  /// Between steps without a rate while so many devices wait for their turn: those are tried again that are not there, and
  /// each command to one more of them is more of that.
  private static let (crowd, detour) = (400, 0.25)

  func run(_ work: CampaignWork, on connection: PostgresConnection) async throws {
    switch work.piece {
    case .forgetting: try await connection.enqueue(CampaignStore.forget(work, limit: 5000))
    case .cancelling(let device): try await cancel(work, after: device, on: connection)
    case .givingUp: try await giveUp(work, on: connection)
    case .making: try await make(work, on: connection)
    case .selecting: try await connection.enqueue([CampaignStore.pause(work, seconds: 1)])
    case .ending(let device): try await end(work, from: device, on: connection)
    }
  }

  // MARK: Making

  private func make(_ work: CampaignWork, on connection: PostgresConnection) async throws {
    let batch = CampaignPace.batch(params: work.size)
    let answers = try await connection.pipeline([
      CampaignStore.inFlight(work.id, ofLast: CampaignPace.window), CampaignStore.running,
      CampaignStore.turnsDue(atMost: Self.crowd),
    ])
    let inFlight = Int(try answers[0].first?.decode(Int64.self) ?? 0)
    let campaigns = Int(try answers[1].first?.decode(Int64.self) ?? 1)
    let isCrowded = try answers[2].first?.decode(Int64.self) == Int64(Self.crowd)
    let share = max(1, CampaignPace.window / max(1, campaigns))
    let room = share - inFlight
    // Half a batch at least: steps of a few commands cost nearly as much.
    guard room >= (min(batch, share) + 1) / 2 else {
      return try await connection.enqueue([CampaignStore.pause(work, seconds: Self.breath)])
    }
    let most = work.pace.step(atMost: min(batch, room), now: work.now, paidUntil: work.paidUntil)
    guard most.count > 0 else {
      return try await connection.enqueue([CampaignStore.pause(work, seconds: most.pause)])
    }
    let members = try await connection.query(CampaignStore.members(work, limit: most.count)).map {
      try CampaignStore.member($0, of: work)
    }
    let step = work.pace.step(
      atMost: min(most.count, members.count), now: work.now, paidUntil: work.paidUntil)
    try await store(try await commands(for: members, work, on: connection), work, on: connection)
    try await connection.enqueue([
      CampaignStore.made(
        work, upTo: members.last?.number ?? work.made, paidUntil: step.paidUntil,
        pause: isCrowded && work.pace.perMinute == nil ? Self.detour : step.pause)
    ])
  }

  /// What becomes of devices: a command that goes, or one that is over already.
  private struct Made {
    var new: [NewCommand] = []
    var final: [Command] = []

    var all: [Command] { new.map(\.command) + final }
  }

  private func commands(
    for members: [CampaignMember], _ work: CampaignWork, on connection: PostgresConnection
  ) async throws -> Made {
    let boards = try await DeviceDirectory.boards(
      Array(Set(members.compactMap { $0.device?.boardId })), on: connection)
    var made = Made()
    for member in members {
      guard let device = member.device else {
        guard member.isGone || isSettled else { throw Unsettled(id: work.id) }
        made.final.append(
          final(member, work, CommandFault(code: "deviceDeleted", message: "The device was deleted.")))
        continue
      }
      guard let board = boards[device.boardId] else {
        guard isSettled else { throw Unsettled(id: work.id) }
        made.final.append(
          final(member, work, CommandFault(code: Self.refused, message: "The device's board is not known.")))
        continue
      }
      do {
        made.new.append(
          try service.command(
            request(for: member, work), for: device, on: board, by: work.createdBy, work.traceparent,
            epoch: epoch))
      } catch let refusal as Problem {
        let why = refusal.errors.isEmpty ? refusal.detail : "\(JSONFaults(refusal.errors))"
        made.final.append(
          final(member, work, CommandFault(code: Self.refused, message: why), deviceType: board.deviceType))
      }
    }
    return try await claimed(made, members, work, on: connection)
  }

  /// Without those whose topics are another organisation's: they are refused.
  private func claimed(
    _ made: Made, _ members: [CampaignMember], _ work: CampaignWork, on connection: PostgresConnection
  ) async throws -> Made {
    let taken = try await service.store.claim(
      made.new.compactMap { new in new.command.own.map { CommandStore.Claim(own: $0, device: new.device) } },
      on: connection)
    guard !taken.isEmpty else { return made }
    let isTaken = { (new: NewCommand) in
      guard let own = new.command.own else { return false }
      return taken.contains(ExactText(own.topic))
        || own.answerTopic.map { taken.contains(ExactText($0)) } ?? false
    }
    let fault = CommandFault(code: Self.refused, message: CommandsService.topicIsTaken)
    let refused = made.new.filter(isTaken).compactMap { new in
      members.first { $0.device?.id == new.device.id }.map {
        final($0, work, fault, deviceType: new.command.deviceType)
      }
    }
    return Made(new: made.new.filter { !isTaken($0) }, final: made.final + refused)
  }

  /// The reason of what a device's catalogue does not allow.
  static let refused = "refused"

  private func request(for member: CampaignMember, _ work: CampaignWork) -> CommandsService.Request {
    var request = work.command
    request.retryOf = member.retryOf
    return request
  }

  /// A command that is FAILED from the beginning.
  private func final(
    _ member: CampaignMember, _ work: CampaignWork, _ fault: CommandFault, deviceType: String? = nil
  ) -> Command {
    let request = request(for: member, work)
    let standard = Timeouts.standard
    let now = Date.now.wholeMilliseconds
    let state = CommandState(
      status: .failed, reason: fault.code, sentAt: nil, acknowledgedAt: nil, completedAt: now, deadline: nil,
      attempts: 0, result: nil, error: fault, lateOutcome: nil, rev: 1,
      timeline: [
        TimelineEntry(
          at: now, event: "created", status: .failed, replica: service.mover.name, detail: fault.message)
      ])
    return Command(
      head: CommandHead(
        id: .v7(), organisationId: work.organisationId, deviceId: member.deviceId, type: request.type,
        lane: request.lane,
        timeouts: Timeouts(
          deliver: request.deliver ?? standard.deliver,
          acknowledge: request.acknowledge ?? standard.acknowledge,
          complete: request.complete ?? standard.complete), traceparent: work.traceparent),
      hardwareId: member.device?.mcuId ?? member.deviceId, deviceType: deviceType,
      params: .object(request.params), delivery: request.delivery, deviceRecord: member.device?.id,
      createdAt: now, createdBy: work.createdBy, retryOf: member.retryOf, bulkId: work.id, state: state)
  }

  private func store(_ made: Made, _ work: CampaignWork, on connection: PostgresConnection) async throws {
    if !made.new.isEmpty {
      let inserted = try await CommandStore.insert(
        made.new, epoch: epoch, telling: service.outbox, on: connection)
      guard inserted.stale.isEmpty else { throw Stale() }
    }
    if !made.final.isEmpty {
      try await connection.enqueue([CommandStore.insert(final: made.final)])
      try await service.outbox.tell(made.final.map(CommandRecords.created), on: connection)
    }
    try await link(made.all, by: work.createdBy, on: connection)
  }

  /// Those that are made once more and the originals name each other.
  private func link(_ commands: [Command], by name: String, on connection: PostgresConnection) async throws {
    let retries = Dictionary(
      commands.compactMap { command in command.retryOf.map { ($0, command) } }, uniquingKeysWith: { $1 })
    guard !retries.isEmpty else { return }
    let originals = try await connection.query(CommandStore.lock(moving: Array(retries.keys))).map {
      try CommandStore.moving($0)
    }
    let (_, records) = try await CommandBatch.apply(
      originals.compactMap { original in
        retries[original.head.id].map {
          (
            original,
            CommandOccurrence(.retried, at: $0.createdAt, detail: "\($0.head.id.text) \(name)")
          )
        }
      }, by: service.mover, on: connection)
    try await connection.enqueue(
      CommandStore.link(retries.map { (id: $0.value.head.id, original: $0.key) }))
    try await service.outbox.tell(records, on: connection)
  }

  // MARK: Cancelling

  private func cancel(
    _ work: CampaignWork, after device: String, on connection: PostgresConnection
  ) async throws {
    let page = try await connection.query(CampaignStore.page(work.id, after: device, limit: Self.page))
      .decode((UUID, String, Bool).self)
    let pending = page.filter(\.2).map(\.0)
    if !pending.isEmpty {
      let now = Date.now.wholeMilliseconds
      let answers = try await connection.pipeline([
        CommandStore.lock(devicesOf: pending), CommandStore.lock(moving: pending),
      ])
      let locked = try answers[1].map { try CommandStore.moving($0) }
      let (turns, records) = try await CommandBatch.apply(
        locked.map { ($0, CommandOccurrence(.cancelled, at: now, detail: work.cancelledBy)) },
        by: service.mover, on: connection)
      try await service.outbox.tell(records, on: connection)
      try await connection.afterCommit { [service] in service.turns.raise(turns) }
    }
    try await connection.enqueue([
      CampaignStore.cancelled(work, to: page.count < Self.page ? nil : page.last?.1)
    ])
  }

  /// Those without a command get one that was cancelled before it went: what is counted is what is listed.
  private func giveUp(_ work: CampaignWork, on connection: PostgresConnection) async throws {
    let limit = min(Self.page, CampaignPace.batch(params: work.size) * 5)
    let members = try await connection.query(CampaignStore.members(work, limit: limit)).map {
      try CampaignStore.member($0, of: work)
    }
    let fault = CommandFault(
      code: "cancelled", message: "It was cancelled before the broker had it.")
    try await store(Made(final: members.map { final($0, work, fault) }), work, on: connection)
    try await connection.enqueue([
      CampaignStore.made(work, upTo: members.last?.number ?? work.made, paidUntil: nil, pause: 0)
    ])
  }

  // MARK: The end

  private func end(_ work: CampaignWork, from device: String, on connection: PostgresConnection) async throws
  {
    if let open = try await connection.query(CampaignStore.firstOpen(work, from: device)).first {
      return try await connection.enqueue([CampaignStore.look(work, at: try open.decode(String.self))])
    }
    guard let found = try await CampaignStore.find(work.id, on: connection) else { return }
    try await connection.query(CampaignStore.finish(work, found.counts))
    guard let finished = try await CampaignStore.find(work.id, on: connection) else { return }
    try await service.outbox.tell(
      [
        CampaignRecords.event(
          .finished, finished.campaign, finished.counts, at: finished.campaign.finishedAt ?? work.now)
      ],
      on: connection)
  }
}
