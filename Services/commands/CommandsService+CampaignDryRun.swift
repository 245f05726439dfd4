import CommandsDomain
import Directory
import FoundationEssentials
import Postgres
import Runtime
import Wire

extension CommandsService {
  /// What a campaign would come to, as far as can be known before.
  struct DryRun: Error, Sendable {
    var total: Int64 = 0
    var online: Int64 = 0
    /// Devices whose catalogue does not allow it, with the reason, the first of them.
    var refused: [(deviceId: String, reason: String)] = []
    /// How many more there are.
    var refusedOmitted: Int64 = 0
    var unknown: [String] = []
  }

  /// Looks at what a campaign would come to. Nothing is made.
  /// - Throws: as `create`; 503 if the registry does not say in time which devices a filter means.
  func dryRun(
    _ new: NewCampaign, in organisation: UUID, by principal: Principal, trace: TraceContext
  ) async throws -> DryRun {
    let chosen = try await choose(new, in: organisation)
    let campaign = campaign(new, chosen, in: organisation, by: principal, trace)
    guard case .filter = chosen.devices else {
      do {
        try await store.database.withTransaction { connection -> Void in
          try await insert(campaign, chosen, isDry: true, on: connection)
          throw try await report(on: campaign, connection)
        }
      } catch let report as DryRun { return report }
      return DryRun()
    }
    try await store.database.withTransaction {
      try await insert(campaign, chosen, isDry: true, on: $0)
    }
    do {
      let isKnown = try await selected(campaign.id, within: patience.dryRun)
      if let reason = try await campaigns.selection(of: campaign.id)?.reason { throw Problem(422, reason) }
      guard isKnown else {
        throw Problem.unavailable("The registry has not said yet which devices this filter means.")
      }
      let found = try await store.database.withConnection { try await report(on: campaign, $0) }
      try await campaigns.forget(campaign.id)
      return found
    } catch {
      try? await campaigns.forget(campaign.id)
      throw error
    }
  }

  /// So many refused devices are named.
  private static let mostRefused = 1000

  private func report(on campaign: Campaign, _ connection: PostgresConnection) async throws -> DryRun {
    let counted = try await connection.query(CampaignStore.boards(of: campaign.id))
      .decode((UUID?, Int64, Int64).self)
    let boards = try await DeviceDirectory.boards(counted.compactMap(\.0), on: connection)
    var fields = JSONFields(campaign.request)
    let request = Request(&fields)
    var report = DryRun(unknown: campaign.unknown)
    var reasons: [UUID: String] = [:]
    var refused: Int64 = 0
    for (id, count, online) in counted {
      report.total += count
      report.online += online
      guard let id, let board = boards[id] else {
        refused += count
        continue
      }
      do { _ = try entry(of: request, on: board) } catch let problem as Problem {
        reasons[id] = "\(JSONFaults(problem.errors))"
        refused += count
      }
    }
    guard refused > 0 else { return report }
    let unread = counted.compactMap(\.0).filter { boards[$0] == nil }
    report.refused = try await connection.query(
      CampaignStore.devices(of: campaign.id, on: Array(reasons.keys) + unread, limit: Self.mostRefused)
    ).decode((String, UUID?).self).map { deviceId, board in
      (deviceId, board.flatMap { reasons[$0] } ?? "The device or its board is not there.")
    }
    report.refusedOmitted = refused - Int64(report.refused.count)
    return report
  }
}
