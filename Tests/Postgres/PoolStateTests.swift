import Testing

@testable import Postgres

/// The pool's decisions, without network and clock.
@Suite struct PoolStateTests {
  private let start = ContinuousClock.now
  private func at(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }
  private func pool(_ maximum: Int = 2) -> PoolState {
    PoolState(.init(maximum: maximum, connectTimeout: .seconds(5), leaseTimeout: .seconds(30)))
  }
  private func hand(_ connection: Int, _ request: UInt64) -> [PoolState.Grant] {
    [.init(connection: connection, request: request)]
  }

  @Test func opensForEachThatWaitsUpToTheMaximum() {
    var pool = pool()
    #expect(pool.requested(1, now: at(0)).open == [.init(connection: 1, after: .zero)])
    #expect(pool.requested(2, now: at(0)).open == [.init(connection: 2, after: .zero)])
    #expect(pool.requested(3, now: at(0)) == .init())
    #expect(pool.connectionOpened(2, now: at(0)).hand == hand(2, 1))
    #expect(pool.connectionOpened(1, now: at(0)).hand == hand(1, 2))
    #expect(pool.connectionReturned(2, isUsable: true, now: at(1)) == .init(hand: hand(2, 3)))
    #expect(pool.leasedCount == 2 && pool.waitingCount == 0)
  }

  @Test func lendsTheMostRecentlyUsedFirstAndLetsTheOthersGrowOld() {
    var pool = pool()
    _ = pool.requested(1, now: at(0))
    _ = pool.requested(2, now: at(0))
    _ = pool.connectionOpened(1, now: at(0))
    _ = pool.connectionOpened(2, now: at(0))
    _ = pool.connectionReturned(1, isUsable: true, now: at(1))
    _ = pool.connectionReturned(2, isUsable: true, now: at(2))
    #expect(pool.requested(3, now: at(3)).hand == hand(2, 3))
    #expect(pool.timePassed(now: at(300)) == .init())
    #expect(pool.timePassed(now: at(301)).close == [1])
    #expect(pool.upCount == 1)
  }

  @Test func anUnusableConnectionIsReplacedForWhoWaits() {
    var pool = pool(1)
    _ = pool.requested(1, now: at(0))
    _ = pool.connectionOpened(1, now: at(0))
    #expect(pool.requested(2, now: at(0)) == .init())
    let actions = pool.connectionReturned(1, isUsable: false, now: at(1))
    #expect(actions.close == [1])
    #expect(actions.open == [.init(connection: 2, after: .zero)])
    #expect(pool.connectionOpened(2, now: at(1)).hand == hand(2, 2))
  }

  @Test func aDeadServerIsTriedByOneAtATimeWithPauses() {
    var pool = pool(4)
    for request in 1...4 { _ = pool.requested(UInt64(request), now: at(0)) }
    func failed(_ id: Int) -> PoolState.Actions {
      pool.openingFailed(id, nil, pause: { .seconds($0) }, now: at(0))
    }
    #expect(failed(1) == .init())
    #expect(failed(2) == .init())
    #expect(failed(3) == .init())
    #expect(failed(4).open == [.init(connection: 5, after: .seconds(4))])
    #expect(pool.requested(5, now: at(1)) == .init())
    // Once it is back, there is one for each that waits.
    let back = pool.connectionOpened(5, now: at(4))
    #expect(back.hand == hand(5, 1))
    #expect(back.open.map(\.after) == [.zero, .zero, .zero])
  }

  @Test func whoWaitsIsRefusedOnlyAfterTheTimeFor() {
    var pool = pool(1)
    _ = pool.requested(1, now: at(0))
    #expect(pool.timePassed(now: at(4)) == .init())
    #expect(pool.timePassed(now: at(5)).fail == [.init(request: 1, reason: .unreachable)])
    _ = pool.requested(2, now: at(6))
    #expect(pool.connectionOpened(1, now: at(7)).hand == hand(1, 2))
    _ = pool.requested(3, now: at(7))
    // A connection is up, only lent: that is waited for longer.
    #expect(pool.timePassed(now: at(36)) == .init())
    #expect(pool.timePassed(now: at(37)).fail == [.init(request: 3, reason: .exhausted)])
  }

  @Test func aCancelledRequestGetsNothing() {
    var pool = pool(1)
    _ = pool.requested(1, now: at(0))
    _ = pool.requested(2, now: at(0))
    #expect(pool.requestCancelled(1) == true)
    #expect(pool.requestCancelled(1) == false)
    #expect(pool.connectionOpened(1, now: at(0)).hand == hand(1, 2))
    #expect(pool.requestCancelled(2) == false)
  }

  @Test func anIdleConnectionThatDiedIsForgotten() {
    var pool = pool(1)
    _ = pool.requested(1, now: at(0))
    _ = pool.connectionOpened(1, now: at(0))
    #expect(pool.connectionDied(1) == .init())
    _ = pool.connectionReturned(1, isUsable: true, now: at(0))
    #expect(pool.connectionDied(1).close == [1])
    #expect(pool.requested(2, now: at(0)).open == [.init(connection: 2, after: .zero)])
  }

  @Test func afterTheShutdownNothingIsLent() {
    var pool = pool()
    _ = pool.requested(1, now: at(0))
    _ = pool.connectionOpened(1, now: at(0))
    _ = pool.requested(2, now: at(0))
    #expect(pool.shutDown().fail == [.init(request: 2, reason: .shutDown)])
    #expect(pool.requested(3, now: at(0)).fail == [.init(request: 3, reason: .shutDown)])
    #expect(pool.connectionReturned(1, isUsable: true, now: at(0)) == .init(close: [1]))
    // One that came up meanwhile is closed.
    #expect(pool.connectionOpened(2, now: at(0)).close == [2])
    #expect(pool.upCount == 0)
  }

  @Test func thousandsOfRequestsAreServedInOrder() {
    var pool = pool(1)
    var served: [UInt64] = []
    for request in 1...5000 { _ = pool.requested(UInt64(request), now: at(0)) }
    served += pool.connectionOpened(1, now: at(0)).hand.map(\.request)
    for _ in 2...5000 { served += pool.connectionReturned(1, isUsable: true, now: at(0)).hand.map(\.request) }
    #expect(served == Array(1...5000))
  }

  @Test func pausesGrowAndAreBounded() {
    let longest = (1...100).map { ConnectBackoff.pause(failures: $0, random: 1) }
    #expect(longest.first == .milliseconds(50))
    #expect(longest == longest.sorted())
    #expect(longest.last == .seconds(2))
    #expect(ConnectBackoff.pause(failures: 1, random: 0) == .milliseconds(25))
  }
}

/// The prepared statements' book-keeping.
@Suite struct StatementCacheTests {
  private func key(_ number: Int) -> StatementCache.Key { .init(sql: "\(number)", types: []) }

  @Test func theLeastRecentlyUsedGoes() {
    var cache = StatementCache(limit: 2)
    let first = cache.used(key(1))
    #expect(first.isNew)
    cache.prepared(key(1), name: first.name)
    let second = cache.used(key(2))
    cache.prepared(key(2), name: second.name)
    #expect(cache.used(key(1)) == (first.name, false))
    _ = cache.used(key(3))
    #expect(cache.leftovers == [second.name])
    cache.deallocated(second.name)
    #expect(cache.leftovers.isEmpty)
    #expect(cache.used(key(2)).isNew == true)
  }

  @Test func oneThatWasEvictedBeforeItWasPreparedIsGivenBackToo() {
    var cache = StatementCache(limit: 1)
    let first = cache.used(key(1))
    let second = cache.used(key(2))
    #expect(cache.leftovers.isEmpty)
    cache.prepared(key(1), name: first.name)
    cache.prepared(key(2), name: second.name)
    #expect(cache.leftovers == [first.name])
  }

  @Test func whatFailedIsPreparedAgainUnderAnotherName() {
    var cache = StatementCache(limit: 4)
    let first = cache.used(key(1))
    cache.preparationFailed(key(1), name: first.name)
    let again = cache.used(key(1))
    #expect(again.isNew && again.name != first.name)
    // A late word about the old one changes nothing.
    cache.preparationFailed(key(1), name: first.name)
    #expect(cache.used(key(1)).isNew == false)
  }
}

/// The one-shot wait.
@Suite struct WaitTests {
  @Test func theValueMayComeBeforeOrAfter() async {
    let early = Wait<Int>()
    #expect(early.resolve(1))
    #expect(!early.resolve(2))
    #expect(await early.value() == 1)
    #expect(!early.resolve(3))
    let late = Wait<Int>()
    let task = Task { await late.value() }
    await Task.yield()
    #expect(late.resolve(4))
    #expect(await task.value == 4)
  }

  @Test func ofManyExactlyOneWins() async {
    for _ in 0..<200 {
      let wait = Wait<Int>()
      let winners = await withTaskGroup(of: Bool.self) { group in
        for number in 0..<4 { group.addTask { wait.resolve(number) } }
        let value = await wait.value()
        #expect((0..<4).contains(value))
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(winners == 1)
    }
  }
}
