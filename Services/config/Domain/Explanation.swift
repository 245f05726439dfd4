import Wire

/// Why a candidate won or lost, in words for people.
public struct Explanation: Sendable {
  public let candidate: Candidate
  /// 1 for the winner.
  public let rank: Int
  public let why: String

  /// - Parameters:
  ///   - standing: all candidates of one path, the winner first.
  ///   - index: which of them.
  public init(_ standing: [Candidate], _ index: Int) {
    candidate = standing[index]
    rank = index + 1
    if index > 0 {
      why = "lost to \(standing[0].bindingId.text): " + Self.words(standing[0], over: candidate)
    } else if standing.count > 1 {
      why = "won: " + Self.words(candidate, over: standing[1])
    } else {
      why = "won: it is the only one"
    }
  }

  private static func words(_ winner: Candidate, over loser: Candidate) -> String {
    let (a, b) = (winner.active.binding, loser.active.binding)
    return switch winner.compare(with: loser).by {
    case .target: "\(a.target.type.rawValue) is more specific than \(b.target.type.rawValue)"
    case .priority: "priority \(a.priority) is higher than \(b.priority)"
    case .age: "of the same priority, it is the older binding"
    case .id: "of the same priority and age, its id comes first"
    }
  }
}
