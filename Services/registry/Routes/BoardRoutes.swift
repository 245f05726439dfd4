import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

/// What boards have beyond `OwnedRoutes`.
struct BoardRoutes: Sendable {
  let registry: RegistryService

  /// The devices of a board, all or those with a value in their metadata.
  func devices(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let page = try request.page(context, filters: ["metadataName", "metadataValue"])
    let scope = try context.scope(request)
    let board = try await registry.find(
      try request.id("id", of: "board"), in: BoardTable.self, for: scope)
    var filter = DeviceFilter(organisation: scope)
    filter.require(.boardId, .id(board.id))
    switch (request.query["metadataName"], request.query["metadataValue"]) {
    case (let name?, let value?): filter.require(.metadata(name), .text(value))
    case (nil, nil): break
    default: throw Problem.badRequest("Give metadataName and metadataValue together.")
    }
    return .list(try await registry.devices(filter, page), of: request) { $0.json }
  }
}
