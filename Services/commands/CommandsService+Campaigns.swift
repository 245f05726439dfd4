import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Threads
import Wire

/// Campaigns: one request for the commands of many devices.
extension CommandsService {
  /// What a client asks for.
  struct NewCampaign: Sendable {
    let target: CampaignTarget
    /// The fields of a command as they were written, which have been read once.
    let request: JSON
    let ratePerMinute: Int?
  }

  /// Makes a campaign: when this returns it is durable, and its commands are on their way.
  /// - Throws: 400 for a faulty filter, 404 for a target that is not there, 422 for a name that means two devices.
  func create(
    _ new: NewCampaign, in organisation: UUID, by principal: Principal, trace: TraceContext,
    _ once: Once<CampaignStore.Counted>
  ) async throws -> CampaignStore.Counted {
    let chosen = try await choose(new, in: organisation)
    let campaign = campaign(new, chosen, in: organisation, by: principal, trace)
    let counted = try await store.database.withTransaction { connection in
      try await once.begin(on: connection)
      try await insert(campaign, chosen, isDry: false, on: connection)
      return try await announce(campaign, by: principal, once, on: connection)
    }
    campaignsDue.signal()
    guard case .filter = chosen.devices else { return counted }
    _ = try await selected(campaign.id, within: patience.create)
    guard let known = try await campaigns.find(campaign.id, in: organisation) else { return counted }
    if once.isKeyed { try await store.database.withTransaction { try await once.keep(known, on: $0) } }
    return known
  }

  /// Makes a campaign of exactly those devices of another whose command is FAILED or TIMEOUT; what was cancelled is neither.
  /// - Throws: 404.
  func retry(
    campaign id: UUID, in organisation: UUID?, by principal: Principal, trace: TraceContext,
    _ once: Once<CampaignStore.Counted>
  ) async throws -> CampaignStore.Counted {
    guard let original = try await campaigns.find(id, in: organisation)?.campaign else {
      throw Problem.notFound("campaign")
    }
    let campaign = Campaign(
      id: .v7(), organisationId: original.organisationId, target: original.target, request: original.request,
      ratePerMinute: original.ratePerMinute, retryOf: original.id, traceparent: trace.traceparent,
      createdAt: Date.now.wholeMilliseconds, createdBy: principal.name)
    try await directory.settled()
    let counted = try await store.database.withTransaction { connection in
      try await once.begin(on: connection)
      try await connection.pipeline([
        CampaignStore.insert(campaign, isDry: false, isSelected: true),
        CampaignStore.fill(campaign, withFailuresOf: id),
      ])
      return try await announce(campaign, by: principal, once, on: connection)
    }
    campaignsDue.signal()
    return counted
  }

  /// Gives up what has not been sent yet: those without a command, and what is PENDING.
  /// - Throws: 404; 409 for one that is not RUNNING.
  func cancel(campaign id: UUID, in organisation: UUID?, by principal: Principal) async throws
    -> CampaignStore.Counted
  {
    try await store.database.withTransaction { connection in
      let row = try await connection.query(CampaignStore.work(id)).first
      guard row != nil, let found = try await CampaignStore.find(id, on: connection)?.campaign,
        organisation.map({ $0 == found.organisationId }) ?? true
      else { throw Problem.notFound("campaign") }
      guard found.status == .running else {
        throw Problem.conflict(
          "Only a RUNNING campaign can be cancelled; this one is \(found.status.rawValue).")
      }
      try await connection.query(CampaignStore.cancel(id, by: principal.name))
      guard let cancelled = try await CampaignStore.find(id, on: connection) else { return }
      let told = CampaignRecords.event(
        .cancelled, cancelled.campaign, cancelled.counts, by: principal.name, at: Date.now.wholeMilliseconds)
      try await outbox.tell([told], on: connection)
    }
    counts.forget(id)
    // The runner would do it too; so the answer mostly says what has become of it.
    let end = ContinuousClock.now + patience.create
    while .now < end {
      // It is cancelled, whatever a step of it comes to here: the runner goes on.
      switch try? await stepCampaign(id) {
      case .cancelling, .givingUp: continue
      default: break
      }
      break
    }
    guard let found = try await campaigns.find(id, in: organisation) else {
      throw Problem.notFound("campaign")
    }
    return found
  }

  /// One campaign; nil if the organisation has none of that id. The counts of a large one may be 2 s old.
  func campaign(_ id: UUID, in organisation: UUID?) async throws -> CampaignStore.Counted? {
    if let recent = counts.recent(id), organisation.map({ $0 == recent.campaign.organisationId }) ?? true {
      return recent
    }
    let start = ContinuousClock.now
    let found = try await campaigns.find(id, in: organisation)
    if let found { counts.keep(found, took: .now - start) }
    return found
  }

  /// Whether the organisation has that campaign.
  func hasCampaign(_ id: UUID, in organisation: UUID?) async throws -> Bool {
    try await campaigns.has(id, in: organisation)
  }

  /// Campaigns, newest first.
  func campaigns(in organisation: UUID?, before: Int64?, limit: Int) async throws -> [CampaignStore.Counted] {
    try await campaigns.list(in: organisation, before: before, limit: limit)
  }

  /// Does the next piece of the campaign whose turn it is, or of that one.
  /// - Returns: which it was; nil if there was none.
  func stepCampaign(_ id: UUID? = nil) async throws -> CampaignWork.Piece? {
    var isSettled = false
    for _ in 0..<3 {
      let epoch = try await newestEpoch()
      let current = Locked<UUID?>(nil)
      do {
        return try await store.database.withTransaction { [isSettled] connection in
          let rows = try await connection.query(id.map(CampaignStore.work) ?? CampaignStore.due)
          guard let work = try rows.first.map(CampaignWork.init) else { return nil }
          current.withLock { $0 = work.id }
          try await CampaignStep(service: self, epoch: epoch, isSettled: isSettled).run(work, on: connection)
          return work.piece
        }
      } catch is CampaignStep.Stale {
        forgetEpoch()
      } catch let unsettled as CampaignStep.Unsettled {
        do { try await directory.settled() } catch {
          // As below.
          try await campaigns.postpone(unsettled.id)
          throw error
        }
        isSettled = true
      } catch let error as PostgresError where !error.isRetryable {
        // Also of what was left for the commit.
        guard let id = current.withLock({ $0 }) else { throw error }
        // It must not be in the way of others.
        try await campaigns.postpone(id)
        throw CampaignFailed(id: id, error: error)
      }
    }
    return nil
  }

  /// A page of the registry's answer, inside the transaction that moves the offset.
  func add(_ page: SelectedDevices, on connection: PostgresConnection) async throws {
    let row = try await connection.query(CampaignStore.nextPage(of: page.id)).first
    // One that was cancelled, is not here any more, or has all its pages.
    guard let next = try row?.decode(Int32?.self), page.page >= next else { return }
    if let fault = page.fault { return try await abandon(page.id, because: fault, on: connection) }
    guard page.page == next else {
      let what = "page \(page.page) of \(page.id.text) has come where page \(next) was expected"
      throw SelectionInbox.MissingPage(expected: Int(next), description: what)
    }
    try await connection.query(CampaignStore.add(page))
  }
}

extension CommandsService {
  /// The registry has no answer: the campaign is called off, and its devices so far with it.
  private func abandon(
    _ id: UUID, because reason: String, on connection: PostgresConnection
  ) async throws {
    try await connection.query(CampaignStore.abandon(id, because: reason))
    guard let found = try await CampaignStore.find(id, on: connection) else { return }
    let told = CampaignRecords.event(
      .cancelled, found.campaign, found.counts, at: Date.now.wholeMilliseconds)
    try await outbox.tell([told], on: connection)
  }
}

/// A step that the database has refused.
struct CampaignFailed: Error, CustomStringConvertible {
  let id: UUID
  let error: PostgresError
  var description: String { "campaign \(id.text): \(error)" }
}
