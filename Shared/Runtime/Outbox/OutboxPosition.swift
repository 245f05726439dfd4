/// From where the relay reads: never twice what it has, and not past a row that may still commit without looking for it
/// again.
///
/// Ids are given when a row is written, and become visible when its transaction commits, so a lower one may come after
/// a higher one. Those that were passed by are asked for by name until a look at all that is left (a sweep, once a
/// second) takes over: that also finds what was in flight before this relay began.
struct OutboxPosition {
  private static let sweepInterval: Duration = .seconds(1)
  /// None of ours is open for longer: half a dozen statements of at most 30 s, and at most 10 s idle between two.
  private static let longestTransaction: Duration = .seconds(300)
  /// More than one transaction writes: the registry's batches are 5,000 records.
  private static let mostMissing = 20_000

  /// The highest id that was read.
  private(set) var last: Int64 = 0
  /// Up to here nothing can come any more: a sweep need not pass the dead index entries below.
  private(set) var floor: Int64 = 0
  private var missingSince: [Int64: ContinuousClock.Instant] = [:]
  private var mark: (last: Int64, at: ContinuousClock.Instant)?
  private var nextSweep: ContinuousClock.Instant?

  /// Whether ids below `last` have not been seen.
  var hasGaps: Bool { !missingSince.isEmpty }

  /// Whether it lies below `last` and has not been seen, though it was passed by a moment ago.
  func isMissing(_ id: Int64) -> Bool { missingSince[id] != nil }

  /// Ids below `last` that have not been seen.
  var missing: [Int64] { missingSince.keys.sorted() }

  /// Rows of these ids were read, ascending: all that there are of `missing` and the first after `last`.
  mutating func read(_ ids: [Int64], at now: ContinuousClock.Instant) {
    for id in ids where id <= last { missingSince[id] = nil }
    for id in ids where id > last {
      // Before the first there is no telling what is missing: that is the sweeps' to find.
      if last > 0, id - last - 1 <= Int64(Self.mostMissing - missingSince.count) {
        for gap in (last + 1)..<id { missingSince[gap] = now }
      }
      last = id
    }
    missingSince = missingSince.filter { now - $0.value < Self.sweepInterval }
  }

  /// Those of `ids`, ascending, that have not been read; nil if others may have been committed before them.
  func news(of ids: [Int64]) -> [Int64]? {
    let fresh = ids.filter { $0 > last || missingSince[$0] != nil }
    let passedBy = fresh.prefix { $0 <= last }.count
    let isWhole =
      last > 0 && passedBy == missingSince.count
      && fresh.dropFirst(passedBy).last.map { $0 - last == fresh.count - passedBy } ?? true
    return fresh.isEmpty ? [] : isWhole ? fresh : nil
  }

  /// Whether it is time to look at all that is left.
  func mustSweep(at now: ContinuousClock.Instant) -> Bool { last > 0 && nextSweep.map { $0 <= now } ?? true }

  /// A sweep is done; one that found something is followed by the next at once.
  /// - Parameter isClean: whether nothing was left but what is on its way.
  mutating func swept(at now: ContinuousClock.Instant, isClean: Bool) {
    nextSweep = isClean ? now + Self.sweepInterval : now
    guard isClean else { return mark = nil }
    guard let mark else { return self.mark = (last, now) }
    if now - mark.at > Self.longestTransaction {
      floor = mark.last
      self.mark = (last, now)
    }
  }
}
