import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

struct OrganisationRoutes: Sendable {
  let registry: RegistryService

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    .list(
      try await registry.organisations(in: try context.scope(request), try request.page(context)),
      of: request
    ) {
      $0.json
    }
  }

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    if try request.optionalID("organisationId") != nil {
      throw Problem.badRequest("A new organisation belongs to none: leave organisationId out.")
    }
    let once = try await registry.idempotency.once(request, context) { (organisation: Organisation) in
      .object(organisation, status: 201)
    }
    let new = try request.decode { Organisation(creating: &$0, id: .v7(), at: .now.wholeMilliseconds) }
    return try once.response(try await registry.create(new, once, context))
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "organisation")
    let organisation = try await registry.organisation(id, in: try context.scope(request))
    return .object(organisation)
  }

  func readByName(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let organisation = try await registry.organisation(
      name: request.parameter("name"), in: try context.scope(request))
    return .object(organisation)
  }

  func readBySlug(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let organisation = try await registry.organisation(
      slug: request.parameter("slug"), in: try context.scope(request))
    return .object(organisation)
  }

  func update(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let organisation = try await registry.update(
      organisation: try request.id("id", of: "organisation"), in: try context.scope(request),
      by: try request.json(), Precondition(request), context)
    return .object(organisation)
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "organisation")
    return .revoked(
      id,
      isTold: try await registry.delete(
        organisation: id, in: try context.scope(request), Precondition(request), context))
  }
}
