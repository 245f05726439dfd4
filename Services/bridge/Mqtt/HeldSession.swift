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
  /// Since when it was, the last time.
  var upSince = ContinuousClock.now
  /// Empties and ends a session of the former design.
  var draining: Task<Void, Never>?
  /// How often somebody without a lease has taken the client id, and until when it is left to them.
  var intrusions = 0
  var leftUntil = ContinuousClock.now

  init(epoch: Int64, until end: ContinuousClock.Instant) {
    (self.epoch, lease) = (epoch, Lease(until: end))
  }

  /// Whether it should have a connection and has none.
  var isIdle: Bool { link == nil && lease.isValid && .now >= leftUntil }

  /// Another connection has taken the client id while the lease is ours: two that both insist would throw each other
  /// out for ever.
  mutating func yield() {
    if .now - upSince > .seconds(60) { intrusions = 0 }
    intrusions = min(intrusions + 1, 6)
    leftUntil = .now + .milliseconds(500) * (1 << intrusions)
  }
}
