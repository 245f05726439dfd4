import FoundationEssentials
import Wire

/// What an artefact can be bound to, the most specific first: of two bindings that reach a device, the one whose
/// target stands earlier here wins.
public enum TargetType: String, Sendable, CaseIterable {
  case component = "COMPONENT"
  case device = "DEVICE"
  case deviceGroup = "DEVICE_GROUP"
  case deviceProfile = "DEVICE_PROFILE"
  case sensorProfile = "SENSOR_PROFILE"

  /// Its place: the lowest wins.
  public var rank: Int {
    switch self {
    case .component: 0
    case .device: 1
    case .deviceGroup: 2
    case .deviceProfile: 3
    case .sensorProfile: 4
    }
  }
}

/// What a binding is for: a record of the registry.
public struct Target: Sendable, Hashable {
  public let type: TargetType
  public let id: UUID

  public init(type: TargetType, id: UUID) { (self.type, self.id) = (type, id) }
}

/// Artefact → target; one for each target and slot.
public struct Binding: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let target: Target
  public let slot: String
  public private(set) var artefactId: UUID
  /// The artefact's version.
  public private(set) var version: Int
  public private(set) var priority: Int
  /// Grows by one with every change.
  public private(set) var rev: Int64
  public let createdAt: Date
  public private(set) var updatedAt: Date
  public private(set) var updatedBy: String

  public init(
    id: UUID, organisationId: UUID, target: Target, slot: String, artefactId: UUID, version: Int,
    priority: Int,
    rev: Int64, createdAt: Date, updatedAt: Date, updatedBy: String
  ) {
    (self.id, self.organisationId, self.target, self.slot) = (id, organisationId, target, slot)
    (self.artefactId, self.version, self.priority, self.rev) = (artefactId, version, priority, rev)
    (self.createdAt, self.updatedAt, self.updatedBy) = (createdAt, updatedAt, updatedBy)
  }

  /// A new one.
  public init(target: Target, to artefact: Artefact, priority: Int, at now: Date, by author: String) {
    self.init(
      id: .v7(at: now), organisationId: artefact.organisationId, target: target, slot: artefact.slot,
      artefactId: artefact.id, version: artefact.version, priority: priority, rev: 1, createdAt: now,
      updatedAt: now,
      updatedBy: author)
  }

  /// The same target and slot with another artefact or priority; nothing changes if both are as they were.
  public func changed(to artefact: Artefact, priority: Int, at now: Date, by author: String) -> Binding {
    guard artefact.id != artefactId || priority != self.priority else { return self }
    var next = self
    (next.artefactId, next.version, next.priority) = (artefact.id, artefact.version, priority)
    (next.rev, next.updatedAt, next.updatedBy) = (rev + 1, now, author)
    return next
  }
}
