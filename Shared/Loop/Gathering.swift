/// How crowded a loop is, by how much work comes to it.
public struct Load: Sendable {
  /// Below this many pieces of work a second nothing gathers; from `full` on everything gathers as long as it may.
  ///
  /// Of the reference's figures: above 1,000 commands a second, windows brought it from 4,000 to 6,400 a second; a
  /// command is about three pieces of work to each of the services that it passes.
  private static let quiet = 2_500.0
  private static let full = 6_000.0
  private static let period: Duration = .milliseconds(50)

  private var count = 0
  private var since = ContinuousClock.now

  /// From 0 (quiet) to 1.
  public private(set) var crowd = 0.0

  mutating func arrived(_ count: Int) { self.count += count }

  mutating func turnBegan(at now: ContinuousClock.Instant) {
    let elapsed = now - since
    guard elapsed >= Self.period else { return }
    let rate = Double(count) / (elapsed / .seconds(1))
    crowd = min(1, max(0, (rate - Self.quiet) / (Self.full - Self.quiet)))
    (count, since) = (0, now)
  }
}

extension EventLoop {
  /// So many requests, records or messages have come in from outside.
  public func arrived(_ count: Int) {
    assertIsolated()
    load.arrived(count)
  }
}

/// When a stage may begin its next batch: the one policy for all that gathers.
///
/// In quiet times at once, that is with all that came in this turn. In a crowd a stage would otherwise take what has come
/// since an instant ago, and pay a round trip, a commit or a fetch for a handful: then batches begin at most once in a
/// window, which grows with the rate up to the bound that its user states.
///
/// Windows of one length end at the same moments for all stages of a loop: what one reads at the end of its window the next
/// passes on in the same turn, and does not hold for most of a window of its own.
public struct Gathering {
  private let loop: EventLoop
  private let bound: Duration
  private var last: ContinuousClock.Instant

  /// - Parameter bound: the most by which it may delay anything.
  public init(_ loop: EventLoop, atMost bound: Duration) {
    (self.loop, self.bound) = (loop, bound)
    last = .now - bound
  }

  /// From 0 (quiet) to 1: how crowded its loop is.
  public var crowd: Double { loop.load.crowd }

  /// When the next batch may begin.
  public var next: ContinuousClock.Instant {
    let window = bound * loop.load.crowd
    guard window > .zero else { return last }
    return loop.tick(after: last, each: window)
  }

  /// A batch begins now.
  public mutating func began() { last = loop.now }

  /// Waits until the next batch may begin, and notes that it does. It cannot be cancelled: the bound is short.
  public mutating func wait() async {
    await loop.endOfTurn(notBefore: next)
    began()
  }
}
