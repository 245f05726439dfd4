import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

struct OrganisationRoutes: Sendable {
  let registry: RegistryService

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    .list(
      try await registry.organisations(in: context.principal.organisationId, try request.page()), of: request
    ) {
      $0.json
    }
  }

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await registry.idempotency.once(request, context) { (organisation: Organisation) in
      .object(organisation.json, rev: organisation.rev, status: 201)
    }
    let new = try request.decode { Organisation(creating: &$0, id: .v7(), at: .now.wholeMilliseconds) }
    return try once.response(try await registry.create(new, once, context))
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "organisation")
    let organisation = try await registry.organisation(id, in: context.principal.organisationId)
    return .object(organisation.json, rev: organisation.rev)
  }

  func readByName(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let organisation = try await registry.organisation(
      name: request.parameter("name"), in: context.principal.organisationId)
    return .object(organisation.json, rev: organisation.rev)
  }

  func readBySlug(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let organisation = try await registry.organisation(
      slug: request.parameter("slug"), in: context.principal.organisationId)
    return .object(organisation.json, rev: organisation.rev)
  }

  func update(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let organisation = try await registry.update(
      organisation: try request.id("id", of: "organisation"), in: context.principal.organisationId,
      by: try request.json(), Precondition(request), context)
    return .object(organisation.json, rev: organisation.rev)
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "organisation")
    return .revoked(
      id,
      isTold: try await registry.delete(
        organisation: id, in: context.principal.organisationId, Precondition(request), context))
  }
}
