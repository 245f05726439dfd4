import HTTP
import Runtime

/// `/api/v1/devices/{deviceId}/desired-state`
struct DesiredStateRoutes: Sendable {
  let service: ConfigService

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let reference = request.parameter("deviceId")
    return .json(try await service.desiredState(reference, in: context.scope(request)).json)
  }
}
