import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

/// What groups have beyond `OwnedRoutes`: members.
struct GroupRoutes: Sendable {
  let registry: RegistryService

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await registry.idempotency.once(request, context) { (group: DeviceGroup) in
      .object(group, status: 201)
    }
    let own = try context.scope(request)
    let new = try request.decode {
      DeviceGroup(creating: &$0, organisation: own, id: .v7(), at: .now.wholeMilliseconds)
    }
    return try once.response(try await registry.create(new, for: own, once, context))
  }

  func update(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: ["dryRun"], isList: false)
    let (id, scope, body) = (try id(of: request), try context.scope(request), try request.json())
    if try request.bool("dryRun") ?? false {
      return .json(try await registry.preview(group: id, for: scope, by: body, Precondition(request)).json)
    }
    let group = try await registry.update(group: id, for: scope, by: body, Precondition(request), context)
    return .object(group)
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try await registry.delete(
      group: try id(of: request), for: try context.scope(request), Precondition(request), context)
    return .noContent
  }

  func members(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let page = try await registry.members(
      of: try id(of: request), for: try context.scope(request), try request.page(context))
    return .list(page, of: request) { .string($0) }
  }

  func add(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await registry.idempotency.once(request, context) { (answer: JSON) in .json(answer) }
    return try once.response(
      try await registry.change(
        members: try names(in: request), of: try id(of: request), for: try context.scope(request),
        isJoin: true, once: once, context))
  }

  func remove(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    .json(
      try await registry.change(
        members: try names(in: request), of: try id(of: request), for: try context.scope(request),
        isJoin: false, context))
  }

  private func names(in request: HTTPRequest) throws -> [String] {
    try request.decode { $0.required("deviceIds", JSONShape.string(1...64).array(0...1000)) }
  }

  private func id(of request: HTTPRequest) throws -> UUID { try request.id("id", of: DeviceGroup.noun) }
}
