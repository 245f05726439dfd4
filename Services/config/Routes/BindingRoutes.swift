import ConfigDomain
import FoundationEssentials
import HTTP
import Runtime
import Wire

/// `/api/v1/desired-state-bindings`
struct BindingRoutes: Sendable {
  let service: ConfigService

  func put(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let binding = try request.decode { body in
      ConfigService.BindingRequest(
        target: body.required("target", .target), slot: body.required("slot", .slot),
        artefactId: body.required("artefactId", .uuid),
        priority: body.optional("priority", .int(Int(Int32.min)...Int(Int32.max))) ?? 0)
    }
    let (view, isNew) = try await service.bind(
      binding, if: Precondition(request), in: context.organisation(request), by: .init(context))
    return response(view, status: isNew ? 201 : 200)
  }

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: ["slot", "artefactId", "targetType", "targetId"])
    var filter = BindingStore.Filter(
      organisation: try context.scope(request), slot: try request.optionalSlot("slot"),
      artefactId: try request.optionalID("artefactId"))
    filter.targetType = try request.optionalWord("targetType", of: TargetType.self)
    if let target = request.query["targetId"] {
      filter.targetId = try await service.targetId(target, in: filter.organisation)
    }
    return try await request.page(id: \.binding.id) { [filter] page in
      try await service.bindings(filter, page)
    } json: {
      $0.json
    }
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    response(try await service.binding(request.id("id", of: "binding"), in: context.scope(request)))
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try await service.unbind(
      request.id("id", of: "binding"), if: Precondition(request), in: context.scope(request),
      by: .init(context))
    return HTTPResponse(status: 204)
  }

  func history(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "binding")
    try request.allow(query: [])
    let limit = try request.int("limit", default: 100, in: 1...1000)
    let before = try request.query["cursor"].map { text in
      guard let rev = Int64(try Cursor(text, count: 1).values[0]) else { throw Cursor.unknown }
      return rev
    }
    let found = try await service.history(
      of: id, in: context.scope(request), before: before, limit: limit + 1)
    let items = found.prefix(limit)
    let next = found.count > limit ? items.last.map { Cursor(["\($0.rev)"]).text } : nil
    return .page(items.map(\.json), next: next)
  }

  func targets(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "binding")
    let limit = try request.int("limit", default: 100, in: 1...1000)
    try request.allow(query: ["status"])
    var filter = TargetStates.Filter(
      status: try request.optionalWord("status", of: SlotState.Status.self), limit: limit + 1)
    if let cursor = request.query["cursor"] {
      let values = try Cursor(cursor, count: 2).values
      filter.after = (values[0], values[1])
    }
    let found = try await service.targets(of: id, in: context.scope(request), filter)
    let items = found.prefix(limit)
    let next = found.count > limit ? items.last.map { Cursor([$0.deviceId, $0.path]).text } : nil
    return .page(items.map(\.json), next: next)
  }

  private func response(_ view: ConfigService.BindingView, status: Int = 200) -> HTTPResponse {
    var response = HTTPResponse.json(view.json, status: status)
    response.headers["ETag"] = Precondition.tag(view.binding.id, rev: view.binding.rev)
    return response
  }
}
