import ConfigDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

extension ConfigService {
  /// What is asked for.
  struct BindingRequest: Sendable {
    /// The device's record id, deviceId or mcuId.
    let target: String
    let slot: String
    let artefactId: UUID
    let priority: Int
  }

  /// Makes or changes the binding of a target and slot, and with it the device's desired document.
  /// - Returns: the binding, and whether it is new.
  /// - Throws: 404 for the device, 412, 422 for an artefact that is not there or of another slot.
  func bind(
    _ request: BindingRequest, if precondition: Precondition, in organisation: UUID, by author: Author
  ) async throws -> (BindingView, isNew: Bool) {
    let device = try await device(request.target, in: organisation)
    let now = Date.now.wholeMilliseconds
    let (binding, isNew) = try await database.withTransaction { connection in
      try await configurations.ensure(device, connection)
      let configurations = try await configurations.lock([device.deviceId], connection)
      let artefact = try await artefactToBind(request, in: organisation, connection)
      let target = Target(type: .device, id: device.id)
      let present = try await bindings.lock(target, slot: request.slot, in: organisation, connection)
      try precondition.check(present.map { Precondition.tag(rev: $0.rev) })
      let binding =
        present?.changed(to: artefact, priority: request.priority, at: now, by: author.name)
        ?? Binding(target: target, to: artefact, priority: request.priority, at: now, by: author.name)
      guard binding != present else { return (binding, false) }
      try await bindings.put(binding, connection)
      let event = ConfigEvents.bindingChanged(binding, deviceId: device.deviceId, by: author)
      try await settle(configurations, after: event, at: now, by: author, connection)
      return (binding, present == nil)
    }
    return (try await view([binding])[0], isNew)
  }

  /// Removes a binding: its device falls back to the next that reaches it, or to nothing.
  /// - Throws: 404, 412.
  func unbind(
    _ id: UUID, if precondition: Precondition, in organisation: UUID?, by author: Author
  ) async throws {
    let found = try await bindings.find(id, in: organisation)
    guard let target = found?.target else { throw Problem.notFound("binding") }
    let now = Date.now.wholeMilliseconds
    try await database.withTransaction { connection in
      // The device first, then the binding: the order in which `bind` takes its locks.
      let configurations = try await configurations.lock(recordId: target.id, connection)
      guard let binding = try await bindings.lock(id, in: organisation, connection) else {
        throw Problem.notFound("binding")
      }
      try precondition.check(Precondition.tag(rev: binding.rev))
      try await bindings.delete(id, connection)
      let deviceId = configurations.first?.configuration.deviceId ?? target.id.text
      let event = ConfigEvents.bindingRemoved(binding, deviceId: deviceId, at: now, by: author)
      try await settle(configurations, after: event, at: now, by: author, connection)
    }
  }

  /// - Throws: 404.
  func binding(_ id: UUID, in organisation: UUID?) async throws -> BindingView {
    guard let binding = try await bindings.find(id, in: organisation) else {
      throw Problem.notFound("binding")
    }
    return try await view([binding])[0]
  }

  func bindings(_ filter: BindingStore.Filter, _ page: Keyset) async throws -> [BindingView] {
    try await view(bindings.list(filter, page))
  }

  /// The record id of a target that may also be named by its deviceId or mcuId.
  /// - Throws: 404, 409.
  func targetId(_ reference: String, in organisation: UUID?) async throws -> UUID {
    if let id = UUID(text: reference) { return id }
    return try await device(reference, in: organisation).id
  }

  /// A binding with how far its devices are.
  struct BindingView: Sendable {
    let binding: Binding
    let convergence: Convergence
  }

  private func view(_ found: [Binding]) async throws -> [BindingView] {
    let convergences = try await bindings.convergence(found.map(\.id))
    return found.map { BindingView(binding: $0, convergence: convergences[$0.id] ?? Convergence()) }
  }

  private func artefactToBind(
    _ request: BindingRequest, in organisation: UUID, _ connection: PostgresConnection
  ) async throws -> Artefact {
    guard let artefact = try await artefacts.hold(request.artefactId, in: organisation, connection) else {
      throw Problem.unprocessable([JSONFault(pointer: "/artefactId", message: "there is no such artefact")])
    }
    guard artefact.slot == request.slot else {
      let message = "the artefact is of the slot \(artefact.slot)"
      throw Problem.unprocessable([JSONFault(pointer: "/slot", message: message)])
    }
    return artefact
  }
}
