import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

struct BoardRoutes: Sendable {
  let registry: RegistryService

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let boards = try await registry.boards(
      in: try context.scope(request), includePublic: try request.bool("includePublic") ?? true,
      try request.page())
    return .list(boards, of: request) { $0.json }
  }

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await registry.idempotency.once(request, context) { (board: Board) in
      .object(board.json, rev: board.rev, status: 201)
    }
    let own = context.principal.organisationId
    let new = try request.decode {
      Board(creating: &$0, organisation: own, id: .v7(), at: .now.wholeMilliseconds)
    }
    return try once.response(try await registry.create(new, in: own, once, context))
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let board = try await registry.board(
      try request.id("id", of: "board"), in: context.principal.organisationId)
    return .object(board.json, rev: board.rev)
  }

  func update(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let board = try await registry.update(
      board: try request.id("id", of: "board"), in: context.principal.organisationId, by: try request.json(),
      Precondition(request), context)
    return .object(board.json, rev: board.rev)
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try await registry.delete(
      board: try request.id("id", of: "board"), in: context.principal.organisationId, Precondition(request),
      context)
    return .noContent
  }

  /// The devices of a board, all or those with a value in their metadata.
  func devices(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let scope = try context.scope(request)
    let board = try await registry.board(try request.id("id", of: "board"), in: scope)
    var filter = DeviceFilter(organisation: scope, board: board.id)
    switch (request.query["metadataName"], request.query["metadataValue"]) {
    case (let name?, let value?): filter.metadata[name] = value
    case (nil, nil): break
    default: throw Problem.badRequest("Give metadataName and metadataValue together.")
    }
    return .list(try await registry.devices(filter, try request.page()), of: request) { $0.json }
  }
}
