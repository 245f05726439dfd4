import BridgeDomain
import Loop
import MQTT

/// A session that this replica holds the lease of.
struct HeldSession {
  var epoch: Int64
  let lease: Lease
  /// The connection, while there is one or it is being made.
  var link: MQTTUplinkSession?
  /// Which of its connections' owners it is: what a former one tells counts no more.
  var life = 0
  /// Whether it is subscribed.
  var isUp = false
  /// The answers that it was to subscribe to, and those of which it has been said that it is.
  var answerFilters: [String] = []
  var notedFilters: [String] = []
  /// Since when it was, the last time.
  var upSince = ContinuousClock.now
  /// Empties and ends a session of the former design.
  var draining: Task<Void, Never>?
  /// How many connections in a row did not last, and when the next may be tried.
  var failures = 0
  var nextTry = ContinuousClock.now

  init(epoch: Int64, until end: ContinuousClock.Instant) {
    (self.epoch, lease) = (epoch, Lease(until: end))
  }

  /// Whether it should have a connection and has none.
  var isIdle: Bool { link == nil && lease.isValid && .now >= nextTry }

  /// The connection is gone, or none came. One that had lasted is tried again at once. If not, perhaps somebody without
  /// a lease has the client id too, and two that insist would throw each other out for ever.
  mutating func lostConnection() {
    link = nil
    failures = isUp && .now - upSince > Self.settledAfter ? 0 : min(failures + 1, 6)
    isUp = false
    let longest = Duration.milliseconds(failures == 0 ? 0 : 150 * (1 << failures))
    nextTry = .now + longest * Double.random(in: 0.5...1)
  }

  private static let settledAfter = Duration.seconds(10)
}
