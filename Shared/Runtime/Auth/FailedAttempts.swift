/// What is remembered of keys that nobody has, and of where they came from. Pure: time is an argument.
///
/// Bounded: what does not fit is forgotten, so that a flood costs its sender's patience and not our memory.
struct FailedAttempts: Sendable {
  typealias Instant = ContinuousClock.Instant

  private struct Sender {
    /// Attempts that count now; one a second is forgiven.
    var count: Double
    var at: Instant
  }

  /// So many from one address are answered at once.
  private static let free = 20.0
  /// Each further one is held so much longer, in milliseconds.
  private static let step = 100.0
  private static let longest: Duration = .seconds(2)
  private static let mostMisses = 10_000
  private static let mostSenders = 10_000
  /// So many requests are held at a time.
  private static let mostHeld = 200

  private var misses: [String: Instant] = [:]
  private var senders: [String: Sender] = [:]
  private var held = 0

  /// How many addresses are remembered.
  var senderCount: Int { senders.count }

  /// Whether that key was looked for a moment ago and is nobody's.
  mutating func isMiss(_ hash: String, at now: Instant) -> Bool {
    guard let until = misses[hash] else { return false }
    if until > now { return true }
    misses[hash] = nil
    return false
  }

  /// Remembers that a key is nobody's.
  mutating func missed(_ hash: String, until: Instant, at now: Instant) {
    if misses.count >= Self.mostMisses { misses = misses.filter { $0.value > now } }
    if misses.count >= Self.mostMisses { misses = [:] }
    misses[hash] = until
  }

  /// An attempt that looks like a failure.
  /// - Returns: how long to hold its answer.
  mutating func began(from address: String, at now: Instant) -> Duration {
    var sender = senders[address] ?? Sender(count: 0, at: now)
    sender.count = max(0, sender.count - (now - sender.at) / .seconds(1))
    sender.at = now
    let over = sender.count - Self.free
    let delay = over < 0 ? .zero : min(Duration.milliseconds((over + 1) * Self.step), Self.longest)
    // No further than what is held longest: who stops is forgiven within a minute.
    if delay < Self.longest { sender.count += 1 }
    if senders[address] == nil, senders.count >= Self.mostSenders {
      senders = senders.filter { $0.value.count > (now - $0.value.at) / .seconds(1) }
      if senders.count >= Self.mostSenders { senders = [:] }
    }
    senders[address] = sender
    return delay
  }

  /// It was none: the key had just been made.
  mutating func wasNone(from address: String) { senders[address]?.count -= 1 }

  /// - Returns: false if too many are held already.
  mutating func hold() -> Bool {
    guard held < Self.mostHeld else { return false }
    held += 1
    return true
  }

  mutating func letGo() { held -= 1 }
}
