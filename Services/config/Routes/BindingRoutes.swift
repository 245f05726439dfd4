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
        target: body.required("target", .deviceTarget), slot: body.required("slot", .slot),
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
      organisation: try context.scope(request), slot: request.query["slot"],
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

  private func response(_ view: ConfigService.BindingView, status: Int = 200) -> HTTPResponse {
    var response = HTTPResponse.json(view.json, status: status)
    response.headers["ETag"] = Precondition.tag(rev: view.binding.rev)
    return response
  }
}
