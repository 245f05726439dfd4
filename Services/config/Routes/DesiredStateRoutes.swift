import HTTP
import Runtime

extension ConfigRoutes {
  @Sendable func getDesiredState(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let reference = request.parameter("deviceId")
    return .json(try await service.desiredState(reference, in: context.scope(request)).json)
  }
}
