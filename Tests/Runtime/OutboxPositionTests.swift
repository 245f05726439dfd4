import Testing

@testable import Runtime

@Suite struct OutboxPositionTests {
  private let start = ContinuousClock.now

  @Test func asksByNameForWhatWasPassedBy() {
    var position = OutboxPosition()
    position.read([5, 6], at: start)
    #expect(position.last == 6 && position.missing.isEmpty, "what is before the first is the sweeps' to find")
    position.read([8, 11], at: start)
    #expect(position.last == 11)
    #expect(position.missing == [7, 9, 10])
    position.read([9, 12], at: start)
    #expect(position.last == 12)
    #expect(position.missing == [7, 10])
  }

  @Test func asksNoLongerOnceASweepHasHadItsTurn() {
    var position = OutboxPosition()
    position.read([1, 3], at: start)
    position.read([], at: start + .milliseconds(900))
    #expect(position.missing == [2])
    position.read([], at: start + .milliseconds(1100))
    #expect(position.missing.isEmpty)
  }

  @Test func aHugeGapIsLeftToTheSweeps() {
    var position = OutboxPosition()
    position.read([1, 1_000_000], at: start)
    #expect(position.last == 1_000_000 && position.missing.isEmpty)
  }

  @Test func sweepsOnceASecondAndAgainUntilNothingIsLeft() {
    var position = OutboxPosition()
    #expect(!position.mustSweep(at: start), "there is nothing behind the beginning")
    position.read([1], at: start)
    #expect(position.mustSweep(at: start), "another replica may have been writing when this relay began")
    position.swept(at: start, isClean: true)
    #expect(!position.mustSweep(at: start + .milliseconds(999)))
    #expect(position.mustSweep(at: start + .seconds(1)))
    position.swept(at: start + .seconds(1), isClean: false)
    #expect(position.mustSweep(at: start + .seconds(1)))
  }

  @Test func whatWasHandedOverNeedNotBeReadIfNothingCanBeBeforeIt() {
    var position = OutboxPosition()
    #expect(position.news(of: [1, 2]) == nil, "what was there before is not known yet")
    position.read([4], at: start)
    #expect(position.news(of: [5, 6]) == [5, 6])
    #expect(position.news(of: []) == [])
    #expect(position.news(of: [3, 4]) == [], "these were read")
    #expect(position.news(of: [4, 5]) == [5])
    #expect(position.news(of: [6]) == nil, "5 may have been committed before it")
    #expect(position.news(of: [5, 7]) == nil)
    position.read([7], at: start)
    #expect(position.news(of: [5]) == nil, "6 may be there too")
    #expect(position.news(of: [5, 6]) == [5, 6])
    #expect(position.news(of: [5, 6, 8, 9]) == [5, 6, 8, 9])
    #expect(position.news(of: [8]) == nil)
    position.read([5, 6], at: start)
    #expect(position.news(of: [5, 6]) == [], "a sweep was faster")
  }

  @Test func theFloorFollowsFarBehind() {
    var position = OutboxPosition()
    position.read([100], at: start)
    position.swept(at: start, isClean: true)
    position.read([200], at: start + .seconds(299))
    position.swept(at: start + .seconds(299), isClean: true)
    #expect(position.floor == 0)
    position.swept(at: start + .seconds(301), isClean: true)
    #expect(position.floor == 100, "a transaction that began before can no longer be open")
  }

  @Test func theFloorNeverPassesWhatWasLeft() {
    var position = OutboxPosition()
    position.read([100], at: start)
    position.swept(at: start, isClean: true)
    position.swept(at: start + .seconds(301), isClean: false)
    position.swept(at: start + .seconds(302), isClean: true)
    #expect(position.floor == 0)
  }
}
