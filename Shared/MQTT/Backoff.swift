/// How long to wait before trying again: exponential with full jitter, so that a thousand clients of a broker that
/// was restarted do not come back in one instant.
struct Backoff: Sendable {
  /// The longest first wait, in nanoseconds.
  var first: UInt64 = 100_000_000
  /// The longest wait of all, in nanoseconds.
  var longest: UInt64 = 10_000_000_000

  /// The longest wait before try number `attempt` (0 is the first one after a failure), in nanoseconds.
  func ceiling(attempt: Int) -> UInt64 {
    let doublings = max(0, min(attempt, 32))
    let (value, overflow) = first.multipliedReportingOverflow(by: 1 << UInt64(doublings))
    return overflow ? longest : min(longest, value)
  }

  /// The wait before that try: anything from 0 to the ceiling, evenly spread over the values of `random`.
  func delay(attempt: Int, random: UInt64 = .random(in: 0 ... .max)) -> UInt64 {
    (ceiling(attempt: attempt) + 1).multipliedFullWidth(by: random).high
  }
}
