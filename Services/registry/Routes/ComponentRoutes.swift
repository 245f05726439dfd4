import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

/// `/device/id/{id}/component`
struct ComponentRoutes: Sendable {
  let registry: RegistryService

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let (device, page) = try await registry.components(
      of: request.parameter("id"), in: try context.scope(request), try request.page(context))
    return .list(page, of: request) { $0.json(deviceId: device.deviceId) }
  }

  func put(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let change = try request.decode { ComponentChange(&$0) }
    let put = try await registry.put(
      change, of: request.parameter("id"), in: try context.scope(request), Precondition(request), context)
    return .tagged(
      put.component.json(deviceId: put.device.deviceId), put.component.id, rev: put.component.rev,
      status: put.isNew ? 201 : 200)
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try await registry.delete(
      component: request.parameter("key"), of: request.parameter("id"), in: try context.scope(request),
      Precondition(request), context)
    return .noContent
  }
}
