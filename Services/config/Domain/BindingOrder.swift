import FoundationEssentials
import Wire

/// The params of a command that binds or unbinds.
public struct BindingOrder: Sendable, Equatable {
  /// With BIND_CONFIG_ARTEFACT.
  public let artefactId: UUID?
  /// Left out by a bind: the artefact's.
  public let slot: String?
  /// A component of the device, by its key or record id; nil for the device itself.
  public let component: String?
  /// Left out: as it was, else 0.
  public let priority: Int?

  /// - Throws: what is wrong with them.
  public init(_ action: BindingRequest.Action, params: JSON) throws {
    var fields = JSONFields(params)
    switch action {
    case .bind:
      artefactId = fields.required("artefactId", .uuid)
      slot = fields.optional("slot", .string(1...64))
      priority = fields.optional("priority", .int(Int(Int32.min)...Int(Int32.max)))
    case .unbind:
      (artefactId, priority) = (nil, nil)
      slot = fields.required("slot", .string(1...64))
    }
    component = fields.optional("component", .string(1...128))
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }

  /// What is bound to, of that device; nil if it has no such component.
  public func target(in device: DeviceEntity) -> Target? {
    guard let component else { return Target(type: .device, id: device.id) }
    return device.components.first { $0.key.isExactly(component) || $0.id.text == component }
      .map { Target(type: .component, id: $0.id) }
  }
}
