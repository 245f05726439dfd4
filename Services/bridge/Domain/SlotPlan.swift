import FoundationEssentials

/// What a replica does about its own slot and those of others, from what it sees and nothing else.
public enum SlotPlan {
  /// One thing to do.
  public enum Action: Sendable, Equatable {
    /// Take this slot as one's own and connect with its client id.
    case claim(Int)
    /// It is still ours: prolong the lease.
    case renew(Int)
    /// Somebody else has it now: stop using its client id, and keep the broker's session for them.
    case giveUp(Int)
    /// Its holder is gone: connect with its client id, take over what waits there, and end the session.
    case adopt(Int)
  }

  /// What a replica knows of itself.
  public struct Replica: Sendable, Equatable {
    /// Who it is.
    public let holder: ClientSlot.Holder
    /// Its own slot, once it has one.
    public var home: Int?
    /// The slots of others that it is draining.
    public var adopted: Set<Int>
    /// Whether its own session is up. Until then nobody else's may be ended: what devices send would find no
    /// subscriber.
    public var isUp: Bool
    /// Whether it has lost a slot in this life: then its name is in use by another process too.
    public var hasLost: Bool

    public init(
      holder: ClientSlot.Holder, home: Int? = nil, adopted: Set<Int> = [], isUp: Bool = false,
      hasLost: Bool = false
    ) {
      (self.holder, self.home, self.adopted) = (holder, home, adopted)
      (self.isUp, self.hasLost) = (isUp, hasLost)
    }
  }

  /// Whose a slot is, seen by one replica.
  enum Standing: Equatable, CaseIterable {
    /// Its own.
    case home
    /// It drains it.
    case adopted
    /// The row says that it is ours and we do not know of it: the answer to taking it was lost.
    case forgotten
    /// An earlier life of this replica held it.
    case earlierLife
    /// Another replica's, and its lease is good.
    case leased
    /// Another replica's, and its lease ran out.
    case orphaned
    /// Nobody's; nothing waits in it.
    case free
  }

  static func standing(of slot: ClientSlot, for replica: Replica, now: Date) -> Standing {
    guard let holder = slot.holder else { return .free }
    if holder == replica.holder {
      if slot.number == replica.home { return .home }
      return replica.adopted.contains(slot.number) ? .adopted : .forgotten
    }
    if holder.replica == replica.holder.replica, !replica.hasLost { return .earlierLife }
    return slot.leaseUntil < now ? .orphaned : .leased
  }

  /// Everything that this replica should do now.
  ///
  /// A replica without a slot takes, in this order: one that is its own by name, one whose holder is gone (taking
  /// it as one's own needs no draining), a free one, a new number.
  public static func actions(slots: [ClientSlot], replica: Replica, now: Date) -> [Action] {
    var actions: [Action] = []
    var claimable: [(rank: Int, number: Int)] = []
    var kept: Set<Int> = []
    for slot in slots {
      let standing = standing(of: slot, for: replica, now: now)
      switch standing {
      case .home, .adopted:
        actions.append(.renew(slot.number))
        kept.insert(slot.number)
      case .forgotten, .earlierLife, .orphaned:
        if replica.home == nil {
          claimable.append((standing == .orphaned ? 1 : 0, slot.number))
        } else if replica.isUp {
          actions.append(.adopt(slot.number))
        }
      case .free: if replica.home == nil { claimable.append((2, slot.number)) }
      case .leased: break
      }
    }
    let held = replica.home.map { replica.adopted.union([$0]) } ?? replica.adopted
    actions += held.subtracting(kept).sorted().map { .giveUp($0) }
    if replica.home == nil {
      let best = claimable.min { ($0.rank, $0.number) < ($1.rank, $1.number) }
      actions.append(.claim(best?.number ?? unused(slots)))
    }
    return actions
  }

  /// Whether a replica that leaves in order may end its broker session: only when another one stays, to take what
  /// devices send. The last one leaves its session to whoever comes next.
  public static func mayEndSession(slots: [ClientSlot], leaving: ClientSlot.Holder, now: Date) -> Bool {
    slots.contains { slot in
      guard let holder = slot.holder, holder != leaving else { return false }
      return slot.leaseUntil >= now && !slot.isLeaving
    }
  }

  private static func unused(_ slots: [ClientSlot]) -> Int {
    let taken = Set(slots.map(\.number))
    return (1...(slots.count + 1)).first { !taken.contains($0) } ?? slots.count + 1
  }
}
