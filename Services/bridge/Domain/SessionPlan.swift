import FoundationEssentials

/// A row of the lease table.
public struct UplinkLease: Sendable, Equatable {
  public let name: UplinkSessionName
  /// The process that reads the session, or did last.
  public let holder: UUID?
  /// Grows with each change of the holder.
  public let epoch: Int64
  /// Whether the lease has not run out, by the database's clock.
  public let isCurrent: Bool
  /// Whether its holder has said that it is subscribed.
  public let isUp: Bool

  public init(name: UplinkSessionName, holder: UUID?, epoch: Int64, isCurrent: Bool, isUp: Bool) {
    (self.name, self.holder, self.epoch) = (name, holder, epoch)
    (self.isCurrent, self.isUp) = (isCurrent, isUp)
  }
}

/// A process that has said lately that it lives.
public struct LivingReplica: Sendable, Equatable {
  public let process: UUID
  /// Whether it reaches the broker: else it is of no use to a session.
  public let isAble: Bool

  public init(process: UUID, isAble: Bool) { (self.process, self.isAble) = (process, isAble) }
}

/// Who reads which session. Each replica decides for itself from the same rows, so that they need no leader.
public enum SessionPlan {
  /// One thing to do.
  public enum Action: Sendable, Equatable {
    /// It is ours still: go on.
    case keep(UplinkSessionName, epoch: Int64)
    /// Somebody else has it: stop at once, and leave the client id to them.
    case lose(UplinkSessionName)
    /// Another replica shall have it: finish what is in hand, then let go.
    case handOver(UplinkSessionName)
    /// Nobody has it: take it, if it is still of this epoch.
    case take(UplinkSessionName, epoch: Int64)
  }

  /// Everything that this replica should do now.
  /// - Parameters:
  ///   - leases: all rows, after its own were renewed.
  ///   - replicas: all that live, itself too.
  ///   - me: its process.
  ///   - held: the sessions that it reads.
  public static func actions(
    leases: [UplinkLease], replicas: [LivingReplica], me: UUID, held: Set<UplinkSessionName>
  ) -> [Action] {
    let leases = leases.sorted { $0.name < $1.name }
    // Also those whose taking we were never told of.
    let mine = leases.filter { $0.holder == me }
    var actions = mine.map { Action.keep($0.name, epoch: $0.epoch) }
    actions += held.filter { name in !mine.contains { $0.name == name } }.sorted().map { .lose($0) }
    let others = replicas.filter { $0.isAble && $0.process != me }.map { other in
      leases.count { $0.holder == other.process && $0.isCurrent }
    }
    guard replicas.contains(where: { $0.process == me && $0.isAble }) else {
      return others.isEmpty ? actions : actions + mine.map { .handOver($0.name) }
    }
    let least = others.min() ?? .max
    let free = leases.filter { $0.holder != me && !$0.isCurrent && isDue($0, leases) }
    // One at a time: what is free already goes to those that have less.
    if let last = mine.last, mine.count - 1 > least, free.isEmpty { return actions + [.handOver(last.name)] }
    var count = mine.count
    for lease in free where count <= least {
      actions.append(.take(lease.name, epoch: lease.epoch))
      count += 1
    }
    return actions
  }

  /// Whether every class is read: what devices send finds its session.
  public static func isComplete(_ leases: [UplinkLease]) -> Bool {
    UplinkClass.allCases.allSatisfy { known in
      leases.contains { $0.name == .uplink(known) && $0.isCurrent && $0.isUp }
    }
  }

  /// A slot's session is ended only when there are those that take its place.
  private static func isDue(_ lease: UplinkLease, _ leases: [UplinkLease]) -> Bool {
    if case .slot = lease.name { isComplete(leases) } else { true }
  }
}
