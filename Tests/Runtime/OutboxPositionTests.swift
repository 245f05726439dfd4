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

  @Test func sweepsOnceASecondAndWhenSomethingWasStuck() {
    var position = OutboxPosition()
    #expect(!position.mustSweep(at: start), "there is nothing behind the beginning")
    position.read([1], at: start)
    #expect(position.mustSweep(at: start), "another replica may have been writing when this relay began")
    position.swept(at: start, next: nil)
    #expect(!position.mustSweep(at: start + .milliseconds(999)))
    #expect(position.mustSweep(at: start + .seconds(1)))
    position.swept(at: start + .seconds(1), next: nil)
    position.sweep(at: start + .milliseconds(1200))
    #expect(position.mustSweep(at: start + .milliseconds(1200)))
    position.swept(at: start + .milliseconds(1200), next: start + .milliseconds(1200))
    #expect(
      position.mustSweep(at: start + .milliseconds(1200)), "what was found is looked for again when deleted")
  }

  @Test func theFloorFollowsFarBehind() {
    var position = OutboxPosition()
    position.read([100], at: start)
    position.swept(at: start, next: nil)
    position.read([200], at: start + .seconds(299))
    position.swept(at: start + .seconds(299), next: nil)
    #expect(position.floor == 0)
    position.swept(at: start + .seconds(301), next: nil)
    #expect(position.floor == 100, "a transaction that began before can no longer be open")
  }

  @Test func theFloorNeverPassesWhatIsNotPublished() {
    var position = OutboxPosition()
    position.read([100], at: start)
    position.swept(at: start, next: nil)
    position.swept(at: start + .seconds(301), next: start + .seconds(302))
    position.swept(at: start + .seconds(302), next: nil)
    #expect(position.floor == 0)
  }
}
