import FoundationEssentials
import Wire

/// A binding that reaches a device, for one path of its document.
public struct Candidate: Sendable, Equatable {
  public let bindingId: UUID
  /// The slot, or `component/slot`.
  public let path: String
  public let targetType: TargetType
  public let priority: Int
  /// When the binding was made.
  public let boundAt: Date
  public let artefact: ArtefactReference

  public init(
    bindingId: UUID, path: String, targetType: TargetType, priority: Int, boundAt: Date,
    artefact: ArtefactReference
  ) {
    (self.bindingId, self.path, self.targetType) = (bindingId, path, targetType)
    (self.priority, self.boundAt, self.artefact) = (priority, boundAt, artefact)
  }

  /// Whether it wins against the other: the more specific target, then the higher priority, then the older
  /// binding. Of two different bindings exactly one wins, so the order in which they are looked at never counts.
  func wins(against other: Candidate) -> Bool {
    if targetType != other.targetType { return targetType.rank < other.targetType.rank }
    if priority != other.priority { return priority > other.priority }
    if boundAt != other.boundAt { return boundAt < other.boundAt }
    return bindingId.text < other.bindingId.text
  }
}

/// Most specific wins.
public enum Resolution {
  /// The winner of each path.
  public static func winners(among candidates: [Candidate]) -> [String: Candidate] {
    Dictionary(candidates.map { ($0.path, $0) }) { $1.wins(against: $0) ? $1 : $0 }
  }
}
