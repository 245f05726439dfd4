import FoundationEssentials
import Wire

/// A binding with all that says whom it reaches, and what they get.
public struct ActiveBinding: Sendable, Equatable {
  public let binding: Binding
  /// What the artefact is for.
  public let profile: Profile
  public let artefact: ArtefactReference

  public init(_ binding: Binding, profile: Profile, artefact: ArtefactReference) {
    (self.binding, self.profile, self.artefact) = (binding, profile, artefact)
  }

  /// The paths of the device's document for which it is a candidate: the slot, or `component/slot` for each component that
  /// the artefact is for. Nothing where the artefact is for something else; an artefact of a board never fits a component or
  /// a sensor profile.
  public func paths(in device: DeviceEntity) -> [String] {
    guard binding.organisationId == device.organisationId else { return [] }
    let target = binding.target
    let isWhole =
      switch target.type {
      case .device: device.id == target.id
      case .deviceGroup: device.groupIds.contains(target.id)
      case .deviceProfile: device.boardId == target.id
      case .component, .sensorProfile: false
      }
    switch profile.type {
    case .device: return isWhole && device.boardId == profile.id ? [binding.slot] : []
    case .sensor:
      return device.components.lazy.filter { component in
        component.sensorProfileId == profile.id
          && (isWhole || target == Target(type: .component, id: component.id)
            || target == Target(type: .sensorProfile, id: component.sensorProfileId))
      }.map { "\($0.key)/\(binding.slot)" }
    }
  }
}

/// A binding that reaches a device, for one path of its document.
public struct Candidate: Sendable, Equatable {
  /// Why one candidate stands before another: the first of these in which they differ.
  public enum Rule: Sendable, Equatable, CaseIterable {
    case target, priority, age, id
  }

  /// The slot, or `component/slot`.
  public let path: String
  public let active: ActiveBinding

  public init(path: String, _ active: ActiveBinding) { (self.path, self.active) = (path, active) }

  public var bindingId: UUID { active.binding.id }
  public var artefact: ArtefactReference { active.artefact }

  /// Whether it wins against the other, and by which rule: the more specific target, then the higher priority, then the
  /// older binding. Of two different bindings exactly one wins, so the order in which they are looked at never counts.
  public func compare(with other: Candidate) -> (wins: Bool, by: Rule) {
    let (mine, its) = (active.binding, other.active.binding)
    if mine.target.type != its.target.type {
      return (mine.target.type.rank < its.target.type.rank, .target)
    }
    if mine.priority != its.priority { return (mine.priority > its.priority, .priority) }
    if mine.createdAt != its.createdAt { return (mine.createdAt < its.createdAt, .age) }
    return (mine.id.text < its.id.text, .id)
  }

  func wins(against other: Candidate) -> Bool { compare(with: other).wins }
}

/// Most specific wins: the one rule by which devices get their documents, plans are made and documents are explained.
public enum Resolution {
  /// The targets through which a binding may reach this device.
  public static func targets(of device: DeviceEntity) -> [Target] {
    [Target(type: .device, id: device.id), Target(type: .deviceProfile, id: device.boardId)]
      + device.groupIds.map { Target(type: .deviceGroup, id: $0) }
      + device.components.map { Target(type: .component, id: $0.id) }
      + Set(device.components.map(\.sensorProfileId)).map { Target(type: .sensorProfile, id: $0) }
  }

  /// All that could be had for each path, the winner first.
  /// - Parameter bindings: those of the device's targets; others do no harm.
  public static func candidates(
    for device: DeviceEntity, among bindings: [Target: [ActiveBinding]]
  ) -> [String: [Candidate]] {
    var found: [String: [Candidate]] = [:]
    for target in targets(of: device) {
      for active in bindings[target] ?? [] {
        for path in active.paths(in: device) {
          found[path, default: []].append(Candidate(path: path, active))
        }
      }
    }
    return found.mapValues { $0.count == 1 ? $0 : $0.sorted { $0.wins(against: $1) } }
  }

  /// What the device gets for each path.
  public static func winners(
    for device: DeviceEntity, among bindings: [Target: [ActiveBinding]]
  ) -> [String: Candidate] {
    candidates(for: device, among: bindings).compactMapValues(\.first)
  }
}
