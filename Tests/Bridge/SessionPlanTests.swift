import FoundationEssentials
import Testing

@testable import BridgeDomain

/// Who reads which session, from the rows alone.
@Suite struct SessionPlanTests {
  typealias Action = SessionPlan.Action
  let me = UUID()
  let other = UUID()
  let third = UUID()
  let status = UplinkSessionName.uplink(.status)
  let reported = UplinkSessionName.uplink(.reported)
  let state = UplinkSessionName.uplink(.state)

  func lease(_ name: UplinkSessionName, _ holder: UUID?, isCurrent: Bool = true, epoch: Int64 = 5)
    -> UplinkLease
  {
    UplinkLease(
      name: name, holder: holder, epoch: epoch, isCurrent: isCurrent && holder != nil, isUp: isCurrent)
  }

  func actions(
    _ leases: [UplinkLease], _ others: [UUID] = [], isAble: Bool = true, held: Set<UplinkSessionName>? = nil
  ) -> [Action] {
    SessionPlan.actions(
      leases: leases,
      replicas: [LivingReplica(process: me, isAble: isAble)]
        + others.map { LivingReplica(process: $0, isAble: true) },
      me: me, held: held ?? Set(leases.filter { $0.holder == me }.map(\.name)))
  }

  @Test func theOnlyOneTakesAll() {
    let names = [reported, state, status]
    #expect(actions(names.map { lease($0, nil) }) == names.map { .take($0, epoch: 5) })
    let dead = names.map { lease($0, other, isCurrent: false) }
    #expect(actions(dead) == names.map { .take($0, epoch: 5) })
    #expect(actions(names.map { lease($0, me) }) == names.map { .keep($0, epoch: 5) })
  }

  @Test func nobodyTakesWhatIsHeld() {
    #expect(actions([lease(status, other), lease(state, other)], [other]) == [])
  }

  @Test func surplusIsGivenBackOneAtATime() {
    let mine = [reported, state, status].map { lease($0, me) }
    let keeps = [reported, state, status].map { Action.keep($0, epoch: 5) }
    #expect(actions(mine, [other]) == keeps + [.handOver(status)])
    // It is on its way to the other one.
    #expect(
      actions([lease(reported, me), lease(state, me), lease(status, nil)], [other])
        == [.keep(reported, epoch: 5), .keep(state, epoch: 5)])
    // Two and one is as even as it gets.
    let shared = [lease(reported, me), lease(state, me), lease(status, other)]
    #expect(actions(shared, [other]) == [.keep(reported, epoch: 5), .keep(state, epoch: 5)])
    #expect(
      actions(shared, [other, third])
        == [.keep(reported, epoch: 5), .keep(state, epoch: 5), .handOver(state)])
  }

  @Test func whoHasLeastTakesWhatIsFree() {
    let free = [lease(reported, me), lease(state, other), lease(status, nil)]
    #expect(actions(free, [other]).contains(.take(status, epoch: 5)))
    #expect(!actions(free, [other, third]).contains(.take(status, epoch: 5)), "the third has none")
  }

  @Test func whatIsLostOrWasForgotten() {
    #expect(actions([lease(status, other)], [other], held: [status]) == [.lose(status)])
    #expect(actions([lease(status, me, epoch: 9)], held: []) == [.keep(status, epoch: 9)])
    #expect(actions([], held: [status]) == [.lose(status)], "its row is gone")
  }

  @Test func withoutTheBrokerItIsAnothersTurn() {
    let mine = [lease(status, me)]
    #expect(actions(mine, isAble: false) == [.keep(status, epoch: 5)], "nobody could do better")
    #expect(actions(mine, [other], isAble: false) == [.keep(status, epoch: 5), .handOver(status)])
    #expect(actions([lease(status, nil)], isAble: false) == [])
  }

  @Test func aFormerSessionIsEndedWhenOthersTakeItsPlace() {
    let classes = [lease(reported, me), lease(state, me), lease(status, me)]
    let slot = lease(.slot(2), nil)
    #expect(actions(classes + [slot]).contains(.take(.slot(2), epoch: 5)))
    let notUp = UplinkLease(name: status, holder: me, epoch: 5, isCurrent: true, isUp: false)
    #expect(!actions(classes.dropLast() + [notUp, slot]).contains(.take(.slot(2), epoch: 5)))
  }

  /// Replicas come, go and die in any order, and look at different times: no session has two holders, and when it is
  /// quiet again all are shared evenly and stay where they are.
  @Test(arguments: 0..<50) func itComesToRest(seed: Int) {
    struct Table {
      var leases: [UplinkSessionName: UplinkLease]
      var living: [UUID]
      mutating func put(_ name: UplinkSessionName, _ holder: UUID?, isCurrent: Bool) {
        let epoch = (leases[name]?.epoch ?? 0) + 1
        leases[name] = UplinkLease(name: name, holder: holder, epoch: epoch, isCurrent: isCurrent, isUp: true)
      }
    }
    let names = [status, reported, state]
    var table = Table(leases: [:], living: [])
    for name in names { table.put(name, nil, isCurrent: false) }
    var held: [UUID: Set<UplinkSessionName>] = [:]
    var moves = 0
    func round(_ me: UUID) {
      let seen = table
      for action in SessionPlan.actions(
        leases: Array(seen.leases.values),
        replicas: seen.living.map { LivingReplica(process: $0, isAble: true) }, me: me, held: held[me] ?? [])
      {
        switch action {
        case .keep(let name, _): held[me]?.insert(name)
        case .lose(let name): held[me]?.remove(name)
        case .handOver(let name):
          held[me]?.remove(name)
          table.put(name, nil, isCurrent: false)
          moves += 1
        case .take(let name, let epoch):
          guard let row = table.leases[name], row.epoch == epoch, !row.isCurrent else { break }
          table.put(name, me, isCurrent: true)
          held[me]?.insert(name)
          moves += 1
        }
      }
    }
    for _ in 0..<Int.random(in: 5...30) {
      switch Int.random(in: 0..<4) {
      case 0 where table.living.count < 5:
        let new = UUID()
        table.living.append(new)
        held[new] = []
      case 1 where table.living.count > 1:
        let dead = table.living.remove(at: Int.random(in: 0..<table.living.count))
        held[dead] = nil
        for (name, row) in table.leases where row.holder == dead { table.put(name, dead, isCurrent: false) }
      default: if let one = table.living.randomElement() { round(one) }
      }
    }
    if table.living.isEmpty {
      table.living = [me]
      held[me] = []
    }
    for _ in 0..<8 { for one in table.living.shuffled() { round(one) } }
    let shares = table.living.map { one in table.leases.values.count { $0.holder == one && $0.isCurrent } }
    #expect(shares.reduce(0, +) == 3)
    #expect((shares.max() ?? 9) - (shares.min() ?? 0) <= 1)
    #expect(
      table.living.allSatisfy { one in held[one]?.count == table.leases.values.count { $0.holder == one } })
    moves = 0
    for _ in 0..<5 { for one in table.living.shuffled() { round(one) } }
    #expect(moves == 0, "nothing moves for nothing")
  }

  @Test func names() {
    for name in [status, reported, state, .slot(12)] { #expect(UplinkSessionName(name.text) == name) }
    for text in ["", "slot-", "slot-x", "other"] { #expect(UplinkSessionName(text) == nil) }
    #expect(Set(UplinkClass.allCases.flatMap(\.topics)).count == 6, "no topic twice")
  }

  @Test func halfOfTheBoundIsTold() {
    var store = BrokerStore(bound: 1000)
    #expect(store.stores(500) == nil)
    #expect(store.stores(501) == .filling)
    #expect(store.stores(900) == nil)
    #expect(store.stores(450) == nil)
    #expect(store.stores(399) == .relieved)
    #expect(store.stores(501) == .filling)
    #expect(BrokerStore.bytes(Array("17".utf8)) == 17)
    #expect(BrokerStore.bytes(Array("x".utf8)) == nil)
  }
}
