import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

extension RegistryService {
  func state(of device: Device) async throws -> StoredState {
    guard let state = try await StateTable(database: database).find(device.deviceId) else {
      throw Problem.notFound("device")
    }
    return state
  }

  func devicesWithState(
    _ filter: DeviceFilter, _ page: PageRequest
  ) async throws -> Page<(device: Device, state: StoredState)> {
    try await filter.pageWithState(page, on: database)
  }

  /// The last route of a device, named as for `device(_:in:)`.
  /// - Throws: 404 if it is unknown or was never heard from.
  func lastRoute(of reference: String, in scope: UUID?) async throws -> JSON {
    let device = try await device(reference, in: scope)
    guard let route = try await state(of: device).lastRoute(broker: broker) else {
      throw Problem(404, "The device has not been heard from.")
    }
    return route
  }

  /// The last routes of those that are known and were heard from.
  func lastRoutes(deviceIds: [String], in scope: UUID?) async throws -> [(deviceId: String, route: JSON)] {
    try await StateTable(database: database).find(deviceIds, in: scope)
      .compactMap { deviceId, state in state.lastRoute(broker: broker).map { (deviceId, $0) } }
  }

  /// Applies what the uplink topic brought, inside the transaction that moves its offsets.
  func apply(_ changes: [StateChange], on connection: PostgresConnection) async throws {
    let presence = try await StateTable(database: connection).apply(changes)
    try await outbox.tell(presence.map(\.record), on: connection)
  }
}
