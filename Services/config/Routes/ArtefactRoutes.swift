import ConfigDomain
import FoundationEssentials
import HTTP
import Runtime
import Wire

/// `/api/v1/config-artefacts`
struct ArtefactRoutes: Sendable {
  let service: ConfigService

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await service.idempotency.once(request, context) { (made: StoredArtefact) in
      var response = HTTPResponse.json(try made.json, status: 201)
      response.headers["Location"] = "/api/v1/config-artefacts/\(made.artefact.id.text)"
      return response
    }
    enum Source { case content(ConfigService.ArtefactDraft), upload(UUID) }
    let source = try request.decode { body -> Source in
      if body.has("uploadId") { return .upload(body.required("uploadId", .uuid)) }
      return .content(
        ConfigService.ArtefactDraft(
          slot: body.required("slot", .slot), profile: body.required("profile", .profile),
          content: body.required("content", .any)))
    }
    let organisation = try context.organisation(request)
    let made =
      switch source {
      case .content(let draft):
        try await service.createArtefact(draft, in: organisation, by: .init(context), once)
      case .upload(let id):
        try await service.createArtefact(from: id, in: organisation, by: .init(context), once)
      }
    return try once.response(made)
  }

  func announce(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await service.idempotency.once(request, context) {
      (ticket: ConfigService.UploadTicket) in .json(ticket.json, status: 201)
    }
    let draft = try request.decode { body in
      ConfigService.UploadDraft(
        slot: body.required("slot", .slot), profile: body.required("profile", .profile),
        size: body.required("size", .int(1...Int.max)), sha256: body.required("sha256", .sha256),
        contentType: body.required("contentType", .contentType))
    }
    return try once.response(
      try await service.announceUpload(draft, in: context.organisation(request), by: .init(context), once))
  }

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: ["slot", "profileType", "profileId", "sha256", "version"])
    let filter = ArtefactStore.Filter(
      organisation: try context.scope(request), slot: try request.optionalSlot("slot"),
      profileType: try request.optionalWord("profileType", of: Profile.Kind.self),
      profileId: try request.optionalID("profileId"), sha256: try request.optionalSHA256("sha256"),
      version: try request.optionalInt("version", in: 1...Int(Int32.max)))
    return try await request.page(id: \.id) { page in
      try await service.artefacts(filter, page)
    } json: {
      $0.json
    }
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "artefact")
    return .json(try await service.artefact(id, in: context.scope(request)).json)
  }

  func content(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "artefact")
    let (artefact, place) = try await service.content(id, in: context.scope(request))
    let tag = "\"\(artefact.sha256)\""
    switch place {
    case .bytes(let bytes):
      return HTTPResponse(headers: ["Content-Type": artefact.contentType, "ETag": tag], body: .bytes(bytes))
    case .address(let url):
      return HTTPResponse(
        status: 307, headers: ["Location": url, "ETag": tag, "Cache-Control": "no-store"])
    }
  }

  func diff(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: ["against"], isList: false)
    guard let base = try request.optionalID("against") else {
      throw Problem.badRequest("against is missing: the id of the artefact to compare with.")
    }
    let id = try request.id("id", of: "artefact")
    return .json(try await service.compare(id, against: base, in: context.scope(request)).json)
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try await service.deleteArtefact(
      request.id("id", of: "artefact"), in: context.scope(request), by: .init(context))
    return HTTPResponse(status: 204)
  }
}
