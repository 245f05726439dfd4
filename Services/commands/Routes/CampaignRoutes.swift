import CommandsDomain
import FoundationEssentials
import HTTP
import Runtime
import Wire

/// `/api/v1/commands/bulk`: one request for the commands of many devices (SPEC, section 5.1).
struct CampaignRoutes: Sendable {
  let service: CommandsService

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await service.idempotency.once(request, context) { (counted: CampaignStore.Counted) in
      .json(counted.json, status: 202)
    }
    let (target, rate, isDryRun) = try request.decode { body in
      _ = CommandsService.Request(&body)
      return (
        body.required("target", Self.target), body.optional("ratePerMinute", .int(1...1_000_000)),
        body.optional("dryRun", .bool) ?? false
      )
    }
    let campaign = CommandsService.NewCampaign(
      target: target, request: try request.json().without(["target", "ratePerMinute", "dryRun"]),
      ratePerMinute: rate)
    let organisation = try context.organisation(request)
    if isDryRun {
      let report = try await service.dryRun(
        campaign, in: organisation, by: context.principal, trace: context.trace)
      return .json(report.json(ratePerMinute: rate))
    }
    return try once.response(
      try await service.create(
        campaign, in: organisation, by: context.principal, trace: context.trace, once))
  }

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: [])
    let page = try CommandPage.filter(request)
    let found = try await service.campaigns(
      in: try context.scope(request), before: page.before, limit: page.limit + 1)
    let shown = found.prefix(page.limit)
    let next = found.count > page.limit ? shown.last.map { Cursor(["\($0.seq)"]).text } : nil
    return .page(shown.map(\.json), next: next)
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "campaign")
    guard let found = try await service.campaign(id, in: try context.scope(request)) else {
      throw Problem.notFound("campaign")
    }
    return .json(found.json)
  }

  func commands(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: ["status", "reason"])
    var filter = try CommandPage.filter(request)
    let id = try request.id("id", of: "campaign")
    guard try await service.hasCampaign(id, in: try context.scope(request)) else {
      throw Problem.notFound("campaign")
    }
    filter.bulkId = id
    filter.status = try CommandPage.status(request)
    filter.reason = request.query["reason"]
    return try await CommandPage.answer(service, filter) { $0.json(withTimeline: false) }
  }

  func cancel(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.refuseFields()
    let cancelled = try await service.cancel(
      campaign: try request.id("id", of: "campaign"), in: try context.scope(request), by: context.principal)
    return .json(cancelled.json)
  }

  func retry(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await service.idempotency.once(request, context) { (counted: CampaignStore.Counted) in
      .json(counted.json, status: 202)
    }
    try request.refuseFields()
    return try once.response(
      try await service.retry(
        campaign: try request.id("id", of: "campaign"), in: try context.scope(request), by: context.principal,
        trace: context.trace, once))
  }

  /// So many names a request may list.
  static let mostNames = 10_000

  private static let target = JSONShape<CampaignTarget>.fields(.devices([])) { target in
    let kind = target.optional("type", .word(CampaignTarget.Kind.group))
    let id = target.optional("id", .string(1...128))
    let names = target.optional("deviceIds", JSONShape.string(1...128).array(1...mostNames))
    let filter = target.optional("filter", .string(1...32_768))
    let forms = [target.has("type") || target.has("id"), target.has("deviceIds"), target.has("filter")]
    guard forms.filter({ $0 }).count == 1 else {
      target.fail([], JSONFault(pointer: "", message: "must be one of {type, id}, {deviceIds} or {filter}"))
      return .devices([])
    }
    if let names { return .devices(names) }
    if let filter { return .filter(filter) }
    guard let kind, let id else {
      if !target.has("type") { target.fail("type", "is missing") }
      if !target.has("id") { target.fail("id", "is missing") }
      return .devices([])
    }
    if kind == .device { return .device(id) }
    guard let record = UUID(text: id) else {
      target.fail("id", "must be a UUID")
      return .devices([])
    }
    return switch kind {
    case .board: .board(record)
    case .sensorProfile: .sensorProfile(record)
    case .group, .device: .group(record)
    }
  }
}

extension JSON {
  /// An object without these members.
  fileprivate func without(_ names: [String]) -> JSON {
    guard var object else { return self }
    for name in names { object[name] = nil }
    return .object(object)
  }
}

extension CampaignStore.Counted {
  /// As the API shows it; without what a list leaves out for its size.
  var json: JSON {
    .compact([
      "id": .string(campaign.id.text), "status": .string(campaign.status.rawValue),
      "type": .string(campaign.type), "target": campaign.target == .null ? nil : campaign.target,
      "total": .int(campaign.total), "counts": counts.json,
      "unknown": hasUnknown ? .array(campaign.unknown.map { .string($0) }) : nil,
      "ratePerMinute": campaign.ratePerMinute.map { .int(Int64($0)) },
      "createdAt": .string(campaign.createdAt.rfc3339), "createdBy": .string(campaign.createdBy),
      "finishedAt": campaign.finishedAt.map { .string($0.rfc3339) },
      "retryOf": campaign.retryOf.map { .string($0.text) }, "reason": campaign.reason.map { .string($0) },
    ])
  }
}

extension CommandsService.DryRun {
  fileprivate func json(ratePerMinute: Int?) -> JSON {
    .compact([
      "total": .int(total), "online": .int(online), "offline": .int(total - online),
      "refused": .array(
        refused.map { ["deviceId": .string($0.deviceId), "reason": .string($0.reason)] }),
      "refusedOmitted": refusedOmitted > 0 ? .int(refusedOmitted) : nil,
      "unknown": .array(unknown.map { .string($0) }),
      "minutes": ratePerMinute.map { .int((total + Int64($0) - 1) / Int64($0)) },
    ])
  }
}
