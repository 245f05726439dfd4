import Synchronization

/// Until when this process may count on a session being its own. A process that was stopped for a while finds it run
/// out, whatever it was about to do.
final class Lease: Sendable {
  private let until: Mutex<ContinuousClock.Instant>

  init(until end: ContinuousClock.Instant) { until = Mutex(end) }

  /// When it runs out.
  var end: ContinuousClock.Instant { until.withLock { $0 } }
  var isValid: Bool { .now < end }

  func renew(until end: ContinuousClock.Instant) { until.withLock { $0 = max($0, end) } }
}

/// A batch came too late: the broker gives it to whoever holds the session now.
struct LeaseRanOut: Error, CustomStringConvertible {
  var description: String { "the session's lease has run out" }
}
