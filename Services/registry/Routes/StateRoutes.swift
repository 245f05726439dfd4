import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

struct StateRoutes: Sendable {
  let registry: RegistryService

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let device = try await registry.device(request.parameter("id"), in: try context.scope(request))
    return .json(json(try await registry.state(of: device)))
  }

  func readByDeviceId(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let device = try await registry.device(request.parameter("deviceId"), in: try context.scope(request))
    return .json(json(try await registry.state(of: device)))
  }

  func lastRoute(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    .json(
      try await registry.lastRoute(of: request.parameter("deviceId"), in: try context.scope(request)))
  }

  func lastRoutes(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let deviceIds = try request.decode { $0.required("deviceIds", JSONShape.string(1...64).array(0...1000)) }
    let routes = try await registry.lastRoutes(deviceIds: deviceIds, in: try context.scope(request))
    return .json(.array(routes.map { ["deviceId": .string($0.deviceId), "lastRoute": $0.route] }))
  }

  /// Devices, each with its `state`.
  func devices(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let page = try request.devicePage(context)
    let filter = try DeviceFilter(request, context)
    return .list(try await registry.devicesWithState(filter, page), of: request) { item in
      var object = item.device.json.object ?? JSONObject()
      object["state"] = json(item.state)
      return .object(object)
    }
  }

  private func json(_ state: StoredState) -> JSON { state.json(broker: registry.broker, now: .now) }
}
