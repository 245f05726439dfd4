import ConfigDomain
import Directory
import FoundationEssentials
import Postgres
import Runtime
import Wire

extension ConfigService {
  /// A target as a client names it: a record id, or for a device also its deviceId or mcuId.
  struct TargetReference: Sendable {
    let type: TargetType
    let id: String
  }

  /// What is asked for.
  struct BindingRequest: Sendable {
    let target: TargetReference
    let slot: String
    let artefactId: UUID
    let priority: Int
  }

  /// Makes or changes the binding of a target and slot. A single device has its new document with it; those of other targets
  /// follow at once, by `DeviceResolver`.
  /// - Returns: the binding, and whether it is new.
  /// - Throws: 404 for the target, 412, 422 for an artefact that is not there or of another slot.
  func bind(
    _ request: BindingRequest, if precondition: Precondition, in organisation: UUID, by author: Author
  ) async throws -> (BindingView, isNew: Bool) {
    let (target, device) = try await find(request.target, in: organisation)
    let now = Date.now.wholeMilliseconds
    let (binding, isNew) = try await database.withTransaction { connection in
      try await connection.enqueue([BindingLock.share(organisation)])
      let locked = try await lock(device, connection)
      let artefact = try await artefactToBind(request.artefactId, request.slot, in: organisation, connection)
      let present = try await bindings.lock(target, slot: request.slot, in: organisation, connection)
      try precondition.check(present.map { Precondition.tag($0.id, rev: $0.rev) })
      let binding =
        present?.changed(to: artefact, priority: request.priority, at: now, by: author.name)
        ?? Binding(target: target, to: artefact, priority: request.priority, at: now, by: author.name)
      guard binding != present else { return (binding, false) }
      let event = try await put(binding, before: present, of: device, by: author, connection)
      try await follow(
        binding, locked, after: event, at: now, by: author, refusesTooLarge: true, connection)
      return (binding, present == nil)
    }
    if isNew, device == nil { await tellUse() }
    return (try await view([binding])[0], isNew)
  }

  /// Removes a binding: its devices fall back to the next that reaches them, or to nothing.
  /// - Throws: 404, 412.
  func unbind(
    _ id: UUID, if precondition: Precondition, in organisation: UUID?, by author: Author
  ) async throws {
    guard let found = try await bindings.find(id, in: organisation) else { throw Problem.notFound("binding") }
    let now = Date.now.wholeMilliseconds
    try await database.withTransaction { connection in
      try await connection.enqueue([BindingLock.share(found.organisationId)])
      let device = try await knownDevice(found.target, in: found.organisationId, connection)
      let locked = try await lock(device, connection)
      guard let binding = try await bindings.lock(id, in: organisation, connection) else {
        throw Problem.notFound("binding")
      }
      try precondition.check(Precondition.tag(binding.id, rev: binding.rev))
      let event = try await remove(binding, of: device, at: now, by: author, connection)
      try await follow(binding, locked, after: event, at: now, by: author, connection)
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

  /// The changes of a binding, the newest first, also of one that is gone.
  /// - Throws: 404 for one that never was.
  func history(
    of id: UUID, in organisation: UUID?, before rev: Int64?, limit: Int
  ) async throws -> [BindingChange] {
    let changes = try await BindingHistory.list(id, in: organisation, before: rev, limit: limit, database)
    if changes.isEmpty, rev == nil { throw Problem.notFound("binding") }
    return changes
  }

  /// The devices and components that have what this binding binds, in the order of deviceId and path.
  /// - Throws: 404.
  func targets(
    of id: UUID, in organisation: UUID?, _ filter: TargetStates.Filter
  ) async throws -> [TargetStates.Item] {
    guard try await bindings.find(id, in: organisation) != nil else { throw Problem.notFound("binding") }
    return try await TargetStates.list(id, filter, database)
  }

  /// The record id of a target that a list is narrowed to; a device may also be named by its deviceId or mcuId.
  /// - Throws: 404, 409.
  func targetId(_ reference: String, in organisation: UUID?) async throws -> UUID {
    if let id = UUID(recordId: reference) { return id }
    return try await device(reference, in: organisation).id
  }

  /// A binding with how far its devices are.
  struct BindingView: Sendable {
    let binding: Binding
    let convergence: Convergence
  }

  func view(_ found: [Binding]) async throws -> [BindingView] {
    let convergences = try await bindings.convergence(found.map(\.id))
    return found.map { BindingView(binding: $0, convergence: convergences[$0.id] ?? Convergence()) }
  }

  /// Looks a target up.
  /// - Returns: with the device that it is, or is a part of; nil for a target of many.
  /// - Throws: 404, 409.
  func find(
    _ reference: TargetReference, in organisation: UUID
  ) async throws -> (Target, device: DeviceEntity?) {
    if reference.type == .device {
      let device = try await device(reference.id, in: organisation)
      return (Target(type: .device, id: device.id), device)
    }
    guard let id = UUID(recordId: reference.id) else { throw Self.unknown(reference.type) }
    let target = Target(type: reference.type, id: id)
    let owner: UUID?
    switch reference.type {
    case .device: return (target, nil)
    case .component:
      guard let device = try await directory.device(ofComponent: id, in: organisation) else {
        throw Self.unknown(.component)
      }
      return (target, device)
    case .deviceGroup: owner = try await directory.ownerOfGroup(id)
    case .sensorProfile: owner = try await directory.ownerOfSensorProfile(id)
    case .deviceProfile:
      owner = try await directory.board(id).map { $0.isPublic ? organisation : $0.organisationId }
    }
    guard owner == organisation else { throw Self.unknown(reference.type) }
    return (target, nil)
  }

  private static func unknown(_ type: TargetType) -> Problem {
    switch type {
    case .component: .notFound("component")
    case .device: .notFound("device")
    case .deviceGroup: .notFound("group")
    case .deviceProfile: .notFound("board")
    case .sensorProfile: .notFound("sensor profile")
    }
  }

  /// The single device of a target, if there is one and it is known here.
  func knownDevice(
    _ target: Target, in organisation: UUID, _ connection: PostgresConnection
  ) async throws -> DeviceEntity? {
    switch target.type {
    case .device:
      let rows = try await connection.query(DirectoryDevices.query([target.id]))
      return try DirectoryDevices.read(rows).first
    case .component:
      return try await DirectoryDevices.having(component: target.id, in: organisation, connection)
    case .deviceGroup, .deviceProfile, .sensorProfile: return nil
    }
  }

  private func lock(
    _ device: DeviceEntity?, _ connection: PostgresConnection
  ) async throws -> [(stored: ConfigurationStore.Stored, device: DeviceEntity)] {
    guard let device else { return [] }
    try await configurations.ensure([device.id], isFirst: true, connection)
    return try await configurations.lock(recordIds: [device.id], connection)
  }

  /// Writes a binding, and that it is now so.
  /// - Returns: what is told of it.
  func put(
    _ binding: Binding, before: Binding?, of device: DeviceEntity?, by author: Author,
    _ connection: PostgresConnection
  ) async throws -> Event {
    let change = BindingChange(
      bindingId: binding.id, rev: binding.rev, at: binding.updatedAt, author: author.name,
      before: before?.bound,
      after: binding.bound)
    try await bindings.put(binding, connection)
    try await connection.enqueue([BindingHistory.add(change, of: binding)])
    return ConfigEvents.binding(binding, change, deviceId: device?.deviceId, in: author.traceparent)
  }

  /// The same for its end.
  func remove(
    _ binding: Binding, of device: DeviceEntity?, at now: Date, by author: Author,
    _ connection: PostgresConnection
  ) async throws -> Event {
    let change = BindingChange(
      bindingId: binding.id, rev: binding.rev + 1, at: now, author: author.name, before: binding.bound,
      after: nil)
    try await bindings.delete(binding.id, connection)
    try await connection.enqueue([BindingHistory.add(change, of: binding)])
    // Where its beginning was told, so that nobody hears the end first.
    var deviceId = device?.deviceId
    if deviceId == nil { deviceId = try await bindings.deviceOfGone(binding.target, connection) }
    return ConfigEvents.binding(binding, change, deviceId: deviceId, in: author.traceparent)
  }

  /// What follows from a change: of a single device at once, of others by the resolver.
  private func follow(
    _ binding: Binding, _ locked: [(stored: ConfigurationStore.Stored, device: DeviceEntity)],
    after event: Event,
    at now: Date, by author: Author, refusesTooLarge: Bool = false, _ connection: PostgresConnection
  ) async throws {
    if locked.isEmpty {
      try await makeDue([binding], in: author.traceparent, connection)
      try await outbox.tell([event], on: connection)
    } else {
      let changes = try await resolve(locked, at: now, connection) { _ in author.traceparent }
      try await carryOut(changes, after: [event], refusesTooLarge: refusesTooLarge, connection)
    }
  }

  func artefactToBind(
    _ id: UUID, _ slot: String, in organisation: UUID, at pointer: String = "",
    _ connection: PostgresConnection
  ) async throws -> Artefact {
    guard let artefact = try await artefacts.hold(id, in: organisation, connection) else {
      throw Problem.unprocessable([
        JSONFault(pointer: "\(pointer)/artefactId", message: "there is no such artefact")
      ])
    }
    guard artefact.slot == slot else {
      let message = "the artefact is of the slot \(artefact.slot)"
      throw Problem.unprocessable([JSONFault(pointer: "\(pointer)/slot", message: message)])
    }
    return artefact
  }
}
