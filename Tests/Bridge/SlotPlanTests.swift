import FoundationEssentials
import Testing

@testable import BridgeDomain

/// Every standing of a slot, in every state of a replica.
@Suite struct SlotPlanTests {
  let now = Date(timeIntervalSince1970: 1_000_000)
  let me = ClientSlot.Holder(replica: "a", process: UUID())
  let earlier = ClientSlot.Holder(replica: "a", process: UUID())
  let other = ClientSlot.Holder(replica: "b", process: UUID())

  func slot(_ number: Int, _ holder: ClientSlot.Holder?, lease: Double = 10, isLeaving: Bool = false)
    -> ClientSlot
  {
    ClientSlot(
      number: number, holder: holder, leaseUntil: now.addingTimeInterval(lease), isLeaving: isLeaving)
  }

  func actions(
    _ slots: [ClientSlot], home: Int? = nil, adopted: Set<Int> = [], isUp: Bool = true, hasLost: Bool = false
  ) -> [SlotPlan.Action] {
    SlotPlan.actions(
      slots: slots,
      replica: SlotPlan.Replica(holder: me, home: home, adopted: adopted, isUp: isUp, hasLost: hasLost),
      now: now)
  }

  @Test func standings() {
    let replica = SlotPlan.Replica(holder: me, home: 1, adopted: [2])
    var lost = replica
    lost.hasLost = true
    func standing(_ slot: ClientSlot, _ replica: SlotPlan.Replica) -> SlotPlan.Standing {
      SlotPlan.standing(of: slot, for: replica, now: now)
    }
    for lease in [-1.0, 10] {
      #expect(standing(slot(1, me, lease: lease), replica) == .home)
      #expect(standing(slot(2, me, lease: lease), replica) == .adopted)
      #expect(standing(slot(3, me, lease: lease), replica) == .forgotten)
      #expect(standing(slot(3, earlier, lease: lease), replica) == .earlierLife)
      #expect(standing(slot(3, nil, lease: lease), replica) == .free)
    }
    #expect(standing(slot(3, other), replica) == .leased)
    #expect(standing(slot(3, other, lease: 0), replica) == .leased)
    #expect(standing(slot(3, other, lease: -0.001), replica) == .orphaned)
    // Two processes of one name: the second one's slot is not ours by name.
    #expect(standing(slot(3, earlier), lost) == .leased)
    #expect(standing(slot(3, earlier, lease: -1), lost) == .orphaned)
  }

  @Test func withoutASlotItTakesTheBestThereIs() {
    #expect(actions([]) == [.claim(1)])
    #expect(actions([slot(1, other)]) == [.claim(2)])
    #expect(actions([slot(1, other), slot(3, other)]) == [.claim(2)])
    #expect(actions([slot(1, other), slot(2, nil)]) == [.claim(2)])
    #expect(actions([slot(1, nil), slot(2, other, lease: -1)]) == [.claim(2)])
    #expect(actions([slot(1, nil), slot(2, other, lease: -1), slot(3, earlier)]) == [.claim(3)])
    #expect(actions([slot(2, me), slot(3, earlier)]) == [.claim(2)])
    #expect(actions([slot(4, other, lease: -1), slot(2, other, lease: -1)]) == [.claim(2)])
  }

  @Test func itsOwnAreRenewed() {
    for isUp in [false, true] {
      #expect(actions([slot(1, me)], home: 1, isUp: isUp) == [.renew(1)])
      #expect(actions([slot(1, me, lease: -5)], home: 1, isUp: isUp) == [.renew(1)])
      #expect(
        actions([slot(1, me), slot(2, me)], home: 1, adopted: [2], isUp: isUp) == [.renew(1), .renew(2)])
    }
  }

  @Test func lostOnesAreGivenUp() {
    #expect(actions([slot(1, other)], home: 1) == [.giveUp(1)])
    #expect(actions([slot(1, nil)], home: 1) == [.giveUp(1)])
    #expect(actions([], home: 1) == [.giveUp(1)])
    #expect(actions([slot(1, me), slot(2, other)], home: 1, adopted: [2]) == [.renew(1), .giveUp(2)])
    #expect(actions([slot(1, me)], home: 1, adopted: [2]) == [.renew(1), .giveUp(2)])
    // One that it adopted and lost while it has none of its own.
    #expect(actions([slot(2, other)], adopted: [2]) == [.giveUp(2), .claim(1)])
  }

  @Test func orphansAreAdoptedOnceItIsUpItself() {
    let slots = [
      slot(1, me), slot(2, other, lease: -1), slot(3, earlier), slot(4, me), slot(5, other), slot(6, nil),
    ]
    #expect(actions(slots, home: 1, isUp: true) == [.renew(1), .adopt(2), .adopt(3), .adopt(4)])
    #expect(actions(slots, home: 1, isUp: false) == [.renew(1)])
    // Somebody of the same name lives in slot 3.
    #expect(actions(slots, home: 1, isUp: true, hasLost: true) == [.renew(1), .adopt(2), .adopt(4)])
  }

  @Test func onlyTheLastOneKeepsItsSession() {
    func mayEnd(_ slots: [ClientSlot]) -> Bool { SlotPlan.mayEndSession(slots: slots, leaving: me, now: now) }
    #expect(!mayEnd([]))
    #expect(!mayEnd([slot(1, me)]))
    #expect(!mayEnd([slot(1, me), slot(2, nil)]))
    #expect(!mayEnd([slot(1, me), slot(2, other, lease: -1)]))
    #expect(!mayEnd([slot(1, me), slot(2, other, isLeaving: true)]))
    #expect(mayEnd([slot(1, me), slot(2, other)]))
    #expect(mayEnd([slot(1, me), slot(2, other, lease: 0)]))
  }

  /// Whatever two replicas see, they never both hold one slot after a round each.
  @Test func twoReplicasNeverTakeTheSameSlot() {
    for others in [0, 1, 2, 3] {
      var slots = (1..<(others + 1)).map { slot($0, other, lease: $0 % 2 == 0 ? -1 : 5) }
      for name in ["x", "y"] {
        let holder = ClientSlot.Holder(replica: name, process: UUID())
        let found = SlotPlan.actions(slots: slots, replica: SlotPlan.Replica(holder: holder), now: now)
        guard case .claim(let number)? = found.last else {
          Issue.record("no claim")
          return
        }
        #expect(!slots.contains { $0.number == number && $0.holder?.replica == "x" })
        slots.removeAll { $0.number == number }
        slots.append(slot(number, holder))
      }
    }
  }
}
