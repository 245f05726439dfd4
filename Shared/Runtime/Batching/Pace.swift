import Loop

/// When a stage may begin its next batch.
///
/// The first goes at once, and so does each that comes a moment after the last: nothing waits while little happens.
/// Under load a stage would otherwise take what has come since an instant ago, and pay a round trip, a commit or a
/// fetch for a handful; a few milliseconds between two beginnings make batches of dozens, and leave the cores to
/// everyone else.
public struct Pace: Sendable {
  /// Between the beginnings of two small batches.
  private let shortest: Duration
  /// Between the beginnings of two large ones.
  private let longest: Duration

  private var earliest: ContinuousClock.Instant?

  public init(shortest: Duration = .milliseconds(4), longest: Duration = .milliseconds(20)) {
    (self.shortest, self.longest) = (shortest, longest)
  }

  /// A batch of so many was begun at `start`.
  public mutating func began(_ count: Int, at start: ContinuousClock.Instant) {
    earliest = start + min(max(shortest, .microseconds(125 * count)), longest)
  }

  /// How long to wait from `now` on before the next begins.
  public func pause(at now: ContinuousClock.Instant) -> Duration {
    earliest.map { max(.zero, $0 - now) } ?? .zero
  }

  /// Waits until the next may begin, or the task is cancelled.
  public func wait(on loop: EventLoop) async throws {
    let pause = pause(at: .now)
    if pause > .zero { try await loop.sleep(for: pause) }
  }
}
