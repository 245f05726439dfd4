/// What an API key may do (SPEC, section 1); each role may do all that the one before may.
public enum Role: String, Sendable, CaseIterable, Comparable {
  /// Reads.
  case viewer
  /// Also sends commands, edits bindings and devices.
  case `operator`
  /// All of the organisation.
  case admin

  public static func < (a: Role, b: Role) -> Bool { a.rank < b.rank }
  private var rank: Int {
    switch self {
    case .viewer: 0
    case .operator: 1
    case .admin: 2
    }
  }
}
