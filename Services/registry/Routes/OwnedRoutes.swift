import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

/// What is kept beside devices, all in the same way: boards, networks, sensor profiles, groups.
struct OwnedRoutes<Table: OwnedTable>: Sendable {
  let registry: RegistryService

  /// Whether some may be public.
  private var mayBePublic: Bool { Table.isPublic != "false" }

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let page = try request.page(context, filters: mayBePublic ? ["includePublic"] : [])
    let found = try await registry.list(
      Table.self, in: try context.scope(request),
      includePublic: try mayBePublic && request.bool("includePublic") ?? true, page)
    return .list(found, of: request) { $0.json }
  }

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await registry.idempotency.once(request, context) { (object: Table.Object) in
      .object(object, status: 201)
    }
    let own = try context.scope(request)
    let new = try request.decode {
      Table.Object(creating: &$0, organisation: own, id: .v7(), at: .now.wholeMilliseconds)
    }
    return try once.response(try await registry.create(new, in: Table.self, for: own, once, context))
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let object = try await registry.find(
      try id(of: request), in: Table.self, for: try context.scope(request))
    return .object(object)
  }

  func update(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let object = try await registry.update(
      try id(of: request), in: Table.self, for: try context.scope(request), by: try request.json(),
      Precondition(request), context)
    return .object(object)
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try await registry.delete(
      try id(of: request), in: Table.self, for: try context.scope(request), Precondition(request),
      context)
    return .noContent
  }

  private func id(of request: HTTPRequest) throws -> UUID {
    try request.id("id", of: Table.Object.noun)
  }
}
