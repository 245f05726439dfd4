/// How a simulated device treats what it is sent.
public enum Behaviour: String, Sendable, CaseIterable {
  /// It obeys and answers.
  case obey
  /// It never answers and does nothing.
  case never
  /// It answers later.
  case late
  /// It gives each answer twice.
  case twice
  /// It answers that it failed.
  case fail
  /// It obeys, then drops its connection before it answers, and comes back some seconds later.
  case offline
  /// It sends bytes that nobody can read in place of an answer.
  case garbage
}

/// Which behaviour a command meets: the device's own if it has one, else by chance.
///
/// The chance is in the command's id, so that a repeat meets the same behaviour and a checker can foretell it.
public struct Behaviours: Sendable {
  /// Shares of the fleet's commands, in percent.
  public struct Shares: Sendable {
    public var never = 0.0
    public var late = 0.0
    public var twice = 0.0
    public var fail = 0.0
    public var garbage = 0.0

    public init() {}
  }

  private let own: [String: Behaviour]
  private let limits: [(below: Double, behaviour: Behaviour)]

  public init(own: [String: Behaviour] = [:], shares: Shares = Shares()) {
    self.own = own
    var sum = 0.0
    var limits: [(Double, Behaviour)] = []
    for (share, behaviour) in [
      (shares.never, Behaviour.never), (shares.late, .late), (shares.twice, .twice), (shares.fail, .fail),
      (shares.garbage, .garbage),
    ] where share > 0 {
      sum += share
      limits.append((sum, behaviour))
    }
    self.limits = limits
  }

  /// What that device does with that command.
  func of(_ device: String, _ command: CommandId) -> Behaviour {
    if let behaviour = own[device] { return behaviour }
    if limits.isEmpty { return .obey }
    // The last 32 bits of a UUIDv7 are random.
    let chance = Double(command.low & 0xFFFF_FFFF) / Double(1 << 32) * 100
    return limits.first { chance < $0.below }?.behaviour ?? .obey
  }

  /// What that device does with a desired document.
  func of(_ device: String) -> Behaviour { own[device] ?? .obey }
}
