import CommandsDomain
import Directory
import FilterLanguage
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// How a campaign comes to its devices.
extension CommandsService {
  /// For whom a new campaign is.
  struct Chosen: Sendable {
    enum Devices: Sendable {
      case known(CampaignStore.Source)
      case filter(String)
    }

    let devices: Devices
    var unknown: [String] = []
  }

  func choose(_ new: NewCampaign, in organisation: UUID) async throws -> Chosen {
    guard new.request.bytes.count <= Self.maximumBytes else {
      throw Problem.unprocessable([
        JSONFault(pointer: "/params", message: "is larger than \(Self.maximumBytes) bytes when written out")
      ])
    }
    switch new.target {
    case .filter(let text):
      do throws(FilterFault) { _ = try DeviceExpression(parsing: text) } catch {
        let detail = "The target's filter cannot be read, \(error)"
        throw Problem(400, detail, errors: [JSONFault(pointer: "/target/filter", message: "\(error)")])
      }
      return Chosen(devices: .filter(text))
    case .device(let name):
      return Chosen(devices: .known(.devices([try await device(name, in: organisation).id])))
    case .devices(let names): return try await choose(names, in: organisation)
    case .group(let id):
      try await directory.settled()
      guard try await directory.ownerOfGroup(id) == organisation else { throw Problem.notFound("group") }
      return Chosen(devices: .known(.group(id)))
    case .board(let id):
      try await directory.settled()
      guard let board = try await directory.board(id), board.isPublic || board.organisationId == organisation
      else { throw Problem.notFound("board") }
      return Chosen(devices: .known(.board(id)))
    case .sensorProfile(let id):
      try await directory.settled()
      guard try await directory.ownerOfSensorProfile(id) == organisation else {
        throw Problem.notFound("sensor profile")
      }
      return Chosen(devices: .known(.sensorProfile(id)))
    }
  }

  private func choose(_ names: [String], in organisation: UUID) async throws -> Chosen {
    var seen: Set<ExactText> = []
    let unique = names.enumerated().filter { seen.insert(ExactText($0.element)).inserted }
    var found = try await directory.devices(unique.map(\.element), in: organisation)
    let missing = found.indices.filter { if case .none = found[$0] { true } else { false } }
    if !missing.isEmpty {
      try await directory.settled()
      let again = try await directory.devices(missing.map { unique[$0].element }, in: organisation)
      for (place, device) in zip(missing, again) { found[place] = device }
    }
    var (ids, unknown, faults): ([UUID], [String], [JSONFault]) = ([], [], [])
    for (name, found) in zip(unique, found) {
      switch found {
      case .one(let device): ids.append(device.id)
      case .none: unknown.append(name.element)
      case .several(let devices):
        let all = devices.map { "\($0.deviceId) (\($0.soc))" }.joined(separator: ", ")
        let message = "is the mcuId of several devices: \(all). Name one by its deviceId"
        faults.append(JSONFault(pointer: "/target/deviceIds/\(name.offset)", message: message))
      }
    }
    if !faults.isEmpty { throw Problem.unprocessable(faults) }
    return Chosen(devices: .known(.devices(ids)), unknown: unknown)
  }

  func campaign(
    _ new: NewCampaign, _ chosen: Chosen, in organisation: UUID, by principal: Principal,
    _ trace: TraceContext
  ) -> Campaign {
    Campaign(
      id: .v7(), organisationId: organisation, target: new.target.json, request: new.request,
      ratePerMinute: new.ratePerMinute, unknown: chosen.unknown, traceparent: trace.traceparent,
      createdAt: Date.now.wholeMilliseconds, createdBy: principal.name)
  }

  func insert(
    _ campaign: Campaign, _ chosen: Chosen, isDry: Bool, on connection: PostgresConnection
  ) async throws {
    var isSelected = true
    if case .filter = chosen.devices { isSelected = false }
    try await connection.query(CampaignStore.insert(campaign, isDry: isDry, isSelected: isSelected))
    switch chosen.devices {
    case .known(let source): try await connection.query(CampaignStore.fill(campaign, with: source))
    case .filter(let text):
      let request = SelectionRequest(
        id: campaign.id, organisationId: campaign.organisationId, filter: text)
      try await outbox.tell([request.event(traceparent: campaign.traceparent)], on: connection)
    }
  }

  /// Tells of a new campaign, and keeps the answer to it.
  func announce(
    _ campaign: Campaign, by principal: Principal, _ once: Once<CampaignStore.Counted>,
    on connection: PostgresConnection
  ) async throws -> CampaignStore.Counted {
    guard let counted = try await CampaignStore.find(campaign.id, on: connection) else {
      throw Problem.notFound("campaign")
    }
    let told = CampaignRecords.event(
      .created, counted.campaign, counted.counts, by: principal.name, at: campaign.createdAt)
    try await outbox.tell([told], on: connection)
    try await once.keep(counted, on: connection)
    return counted
  }

  /// Waits until all devices of a filter are known.
  /// - Returns: false if that takes longer.
  /// - Throws: 422 if they will not be.
  func selected(_ campaign: UUID, within patience: Duration) async throws -> Bool {
    let end = ContinuousClock.now + patience
    while let (isOver, _) = try await campaigns.selection(of: campaign), !isOver {
      if .now >= end { return false }
      try await loop.sleep(for: .milliseconds(25))
    }
    return true
  }
}
