import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

struct DeviceRoutes: Sendable {
  let registry: RegistryService

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let page = try request.devicePage(context)
    let filter = try DeviceFilter(request, context)
    return .list(try await registry.devices(filter, page), of: request) { $0.json }
  }

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await registry.idempotency.once(request, context) { Self.answer($0, status: 201) }
    let own = try context.scope(request)
    let new = try request.decode {
      NewDevice(&$0, organisation: own, id: .v7(), at: .now.wholeMilliseconds)
    }
    return try once.response(try await registry.create(new, in: own, once, context))
  }

  /// `{id}` may also be the device's `deviceId` or `mcuId`.
  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    Self.answer(try await registry.device(request.parameter("id"), in: try context.scope(request)))
  }

  /// So may `{deviceId}`.
  func readByDeviceId(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    Self.answer(try await registry.device(request.parameter("deviceId"), in: try context.scope(request)))
  }

  func readByMcuId(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    Self.answer(
      try await registry.device(
        soc: request.parameter("soc"), mcuId: request.parameter("mcuId"), in: try context.scope(request)))
  }

  func update(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let body = try request.json()
    return try await edit(request, context) { try $0.changed(by: body, at: .now.wholeMilliseconds) }
  }

  func patch(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let body = try request.json()
    return try await edit(request, context) { try $0.patched(by: body, at: .now.wholeMilliseconds) }
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try await registry.delete(
      device: request.parameter("id"), in: try context.scope(request), Precondition(request), context)
    return .noContent
  }

  private func edit(
    _ request: HTTPRequest, _ context: RequestContext, _ edit: @Sendable (Device) throws -> Device
  ) async throws -> HTTPResponse {
    Self.answer(
      try await registry.update(
        device: request.parameter("id"), in: try context.scope(request), Precondition(request), context, edit)
    )
  }

  private static func answer(_ device: Device, status: Int = 200) -> HTTPResponse {
    .tagged(device.json, device.id, rev: device.rev, status: status)
  }
}
