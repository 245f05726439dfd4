import ConfigDomain
import FoundationEssentials
import HTTP
import Runtime
import Wire

/// `/api/v1/config-artefacts`
struct ArtefactRoutes: Sendable {
  let service: ConfigService

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await service.idempotency.once(request, context) {
      (made: (artefact: Artefact, content: [UInt8])) in
      var response = HTTPResponse.json(try made.artefact.json(content: made.content), status: 201)
      response.headers["Location"] = "/api/v1/config-artefacts/\(made.artefact.id.text)"
      return response
    }
    let draft = try request.decode { body in
      ConfigService.ArtefactDraft(
        slot: body.required("slot", .slot), profile: body.required("profile", .profile),
        content: body.required("content", .any))
    }
    return try once.response(
      try await service.createArtefact(draft, in: context.organisation(request), by: .init(context), once))
  }

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: ["slot", "profileId"])
    let filter = ArtefactStore.Filter(
      organisation: try context.scope(request), slot: request.query["slot"],
      profileId: try request.optionalID("profileId"))
    return try await request.page(id: \.id) { page in
      try await service.artefacts(filter, page)
    } json: {
      $0.json
    }
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let (artefact, content) = try await find(request, context)
    return .json(try artefact.json(content: content))
  }

  func content(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let (artefact, content) = try await find(request, context)
    return HTTPResponse(headers: ["Content-Type": artefact.contentType], body: .bytes(content))
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try await service.deleteArtefact(request.id("id", of: "artefact"), in: context.scope(request))
    return HTTPResponse(status: 204)
  }

  private func find(
    _ request: HTTPRequest, _ context: RequestContext
  ) async throws -> (Artefact, content: [UInt8]) {
    try await service.artefact(request.id("id", of: "artefact"), in: context.scope(request))
  }
}
