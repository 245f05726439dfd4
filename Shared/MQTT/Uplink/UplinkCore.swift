import Observability
import Synchronization
import Threads

/// An uplink's thread.
///
/// `@unchecked Sendable`: constants and synchronised values first; what is below "confined" is touched only by the
/// uplink's own thread, inside `run`.
final class UplinkCore: @unchecked Sendable {
  /// A connection that lasted this long counts as a good one: the next loss begins with the shortest wait again.
  private static let settledAfter: UInt64 = 2_000_000_000

  /// How the owner wants it to end.
  enum Wish: Sendable { case stop, leave }

  struct Ending: Sendable {
    var wish: Wish
    var deadline: UInt64
  }

  private struct Shared {
    var isStarted = false
    var hasEnded = false
    var left = false
    var ending: Ending?
    var waiters: [OneShot<Bool>] = []
  }

  let configuration: MQTTConfiguration
  let subscriptions: [MQTTSubscription]
  let maximumBatch: Int
  let logger: Logger
  let handle: @Sendable ([MQTTMessage]) async throws -> Void
  let onState: @Sendable (MQTTSessionState) -> Void
  let backoff = Backoff()
  let wakeUp = Bell()
  let isUp = Atomic(false)
  let counters = Locked(MQTTUplinkCounters())
  private let shared = Locked(Shared())

  // Confined to the uplink's thread from here on.
  var batch: [MQTTMessage] = []
  var connection: Mosquitto?
  var isAccepted = false
  var sessionPresent = false
  var brokerReason: MQTTDisconnectReason?
  var lastTold: MQTTDisconnectReason?
  var pendingSubscriptions: Set<Int> = []
  var pendingBarrier: Set<Int> = []
  var progressed = false
  var attempt = 0
  var connectedAt: UInt64 = 0
  var upDeadline: UInt64 = 0
  var left = false
  var barrier = Barrier()

  init(
    configuration: MQTTConfiguration, subscriptions: [MQTTSubscription], maximumBatch: Int, logger: Logger,
    handle: @escaping @Sendable ([MQTTMessage]) async throws -> Void,
    onState: @escaping @Sendable (MQTTSessionState) -> Void
  ) {
    self.configuration = configuration
    self.subscriptions = subscriptions
    self.maximumBatch = maximumBatch
    self.logger = logger
    self.handle = handle
    self.onState = onState
  }

  // MARK: From any thread

  func start() {
    let isFirst = shared.withLock { shared in
      defer { shared.isStarted = true }
      return !shared.isStarted && shared.ending == nil
    }
    guard isFirst else { return }
    guard let thread = OwnThread("mqtt-uplink", { [self] in run() }) else {
      logger.critical("no thread for the MQTT uplink")
      return ended()
    }
    thread.detach()
  }

  /// Asks the thread to end; `waiter` is told whether the wish was fulfilled. The first wish counts, the last
  /// deadline.
  func ask(_ wish: Wish, deadline: UInt64, waiter: OneShot<Bool>?) {
    let answer: Bool? = shared.withLock { shared in
      if shared.hasEnded || !shared.isStarted {
        shared.hasEnded = true
        shared.ending = Ending(wish: wish, deadline: deadline)
        return wish == .stop || shared.left
      }
      if let waiter { shared.waiters.append(waiter) }
      shared.ending = Ending(wish: shared.ending?.wish ?? wish, deadline: deadline)
      return nil
    }
    if let answer { waiter?.give(.success(answer)) }
    wakeUp.ring()
  }

  var ending: Ending? { shared.withLock { $0.ending } }

  // MARK: The thread

  private func run() {
    while mayTry, let failure = connectAndServe() {
      if isUp.exchange(false, ordering: .releasing) {
        lastTold = nil
        if monotonicNanoseconds() - connectedAt >= Self.settledAfter { attempt = 0 }
      }
      drop()
      tell(brokerReason ?? failure)
      waitForNextAttempt()
    }
    drop()
    ended()
  }

  private func drop() {
    connection?.shutDown()
    connection = nil
  }

  /// Leaving needs a connection, for as long as it may take; stopping does not.
  private var mayTry: Bool {
    guard let ending else { return true }
    return ending.wish == .leave && monotonicNanoseconds() < ending.deadline
  }

  private func ended() {
    isUp.store(false, ordering: .releasing)
    let left = left
    let (waiters, wish) = shared.withLock { shared in
      shared.hasEnded = true
      shared.left = left
      defer { shared.waiters.removeAll() }
      return (shared.waiters, shared.ending?.wish)
    }
    onState(.disconnected(.requested))
    for waiter in waiters { waiter.give(.success(wish == .stop || left)) }
  }

  private func tell(_ reason: MQTTDisconnectReason) {
    guard reason != lastTold else { return }
    lastTold = reason
    logger.warning(
      "MQTT uplink down", ["clientId": configuration.clientId, "reason": reason.description])
    onState(.disconnected(reason))
  }

  private func waitForNextAttempt() {
    let end = monotonicNanoseconds() + backoff.delay(attempt: attempt)
    attempt += 1
    while mayTry {
      let now = monotonicNanoseconds()
      let soonest = min(end, ending?.deadline ?? end)
      guard now < soonest else { return }
      _ = pollOne(-1, [], wakeUp: wakeUp, nanoseconds: soonest - now)
    }
  }
}
