import HTTP
import Runtime

/// `/api/v1/devices/{deviceId}/desired-state`
struct DesiredStateRoutes: Sendable {
  let service: ConfigService

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: ["explain"], isList: false)
    let state = try await service.desiredState(
      request.parameter("deviceId"), in: context.scope(request),
      isExplained: try request.bool("explain") ?? false)
    return .json(state.json)
  }
}
