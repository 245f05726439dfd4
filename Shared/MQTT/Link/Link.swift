import FoundationEssentials
import Loop
import Observability
import Synchronization

/// A client's connection, kept up on its loop: it is made, lost and made again, with back-off and jitter. What is done
/// with it is its subclasses' matter.
///
/// Everything in here runs on the loop, so nothing is locked, and what libmosquitto reports is acted on at once.
class Link {
  /// Where it stands.
  enum Phase {
    /// Not started, or ended by its owner.
    case idle
    /// Waiting for the next attempt.
    case waiting
    /// From the first packet until the broker accepted.
    case connecting
    /// The broker accepted: publishing works. "Up" is told once the subscriptions are answered as well.
    case connected
    /// The disconnect is queued or written.
    case disconnecting
  }

  /// What has to wait. An acknowledgement is queued by the library as soon as a message is read.
  enum Hold {
    case nothing
    case writing
    case readingAndWriting
  }

  let configuration: MQTTConfiguration
  let loop: EventLoop
  let logger: Logger
  let standing: Standing
  let onState: (MQTTSessionState) -> Void
  let backoff = Backoff()
  var subscriptions: [MQTTSubscription]

  private(set) var hold = Hold.nothing
  /// Whether a ping may overtake what is held: nothing half written stands before it.
  private var mayPing = false
  /// The socket failed while nothing was read.
  private(set) var isGone = false
  private var isFlushing = false

  // For the extension that gets and loses the connection.
  var phase = Phase.idle
  var handle: Mosquitto?
  var source: LoopSource?
  var interest: Interest = []
  var timers = Timers()
  var whenOver: LoopSource?
  var attempt = 0
  var attemptNumber: UInt64 = 0
  var acceptedAt = ContinuousClock.now
  var initialSubscriptions: Set<Int> = []
  var sessionPresent = false
  var brokerReason: MQTTDisconnectReason?
  var lastTold: MQTTDisconnectReason?
  /// The library has reported something in this call.
  var progressed = false
  /// The broker has accepted just now: what was queued for it goes out before anything else is read.
  var isFresh = false

  init(
    configuration: MQTTConfiguration, loop: EventLoop, subscriptions: [MQTTSubscription], logger: Logger,
    standing: Standing, onState: @escaping (MQTTSessionState) -> Void
  ) {
    self.configuration = configuration
    self.loop = loop
    self.subscriptions = subscriptions
    self.logger = logger
    self.standing = standing
    self.onState = onState
  }

  // MARK: For subclasses

  /// So many packets are read before others have their turn.
  var readsAtOnce: Int { 64 }
  /// Whether more may be read now.
  var hasRoom: Bool { true }
  /// Whether the subscriptions are made on the next connection.
  var subscribes: Bool { true }

  /// The broker accepted.
  func accepted(receiveMaximum: Int) {}
  func received(_ message: MQTTMessage) {}
  func published(id: Int, reason: MQTTReasonCode) {}
  /// The answer to a subscription, or to the end of one, that the subclass asked for.
  func answered(id: Int, refusal: MQTTReasonCode?) {}
  /// Everything that was there has been read.
  func hasRead() {}
  /// Queues what has waited.
  func fill() {}
  /// The socket failed while reading was held.
  func goneWhileHeld() {}
  /// The connection is gone, or none came: whoever waits for it is told.
  /// - Returns: whether to try again.
  func dropped() -> Bool { true }
  /// It is idle now.
  func ended() {}

  // MARK: Traffic

  /// Has what is queued written at the end of the turn.
  func needsWrite() {
    guard !isFlushing, hold == .nothing, handle != nil else { return }
    isFlushing = true
    loop.flushOnce { [self] in flush() }
  }

  func ready(_ events: Interest) {
    guard let handle else { return }
    if hold == .readingAndWriting { return readyWhileHeld(events) }
    // What is read now would be acknowledged, though nobody takes it any more.
    if phase == .disconnecting, handle.wantsToWrite { return needsWrite() }
    if phase == .connecting, !events.isDisjoint(with: [.writing, .failed]),
      let failure = handle.connectFailure
    {
      return lost(.connectFailed(failure))
    }
    // A TLS handshake is driven by reading, also when it waits to write. In one the library does not notice that the
    // other side has gone.
    let isHandshake = configuration.tls != nil && phase == .connecting
    if isHandshake, events.contains(.reading), handle.isEmpty {
      return lost(.connectionLost("closed"))
    }
    if isHandshake || events != .writing { read(handle) }
    needsWrite()
  }

  /// Watches for nothing but its end from now on, and not even for that once it has come: epoll would tell it again and
  /// again.
  private func readyWhileHeld(_ events: Interest) {
    guard let source else { return }
    guard events.isDisjoint(with: [.closing, .failed]) else {
      isGone = true
      loop.cancel(source)
      self.source = nil
      return goneWhileHeld()
    }
    watch(.closing)
  }

  private func read(_ handle: Mosquitto) {
    let time = Date.now
    if hold == .nothing { mayPing = !handle.wantsToWrite }
    var budget = readsAtOnce
    repeat {
      progressed = false
      let failure = handle.read(at: time)
      // What it reported may have ended this connection.
      guard self.handle === handle else { return }
      if let failure { return lost(.connectionLost(failure)) }
      budget -= 1
    } while budget > 0 && !isFresh && hasRoom && handle.hasInput(progressed)
    isFresh = false
    readOn(handle)
    hasRead()
  }

  /// What the library has already taken from the socket, epoll does not tell of.
  private func readOn(_ handle: Mosquitto) {
    if handle.holdsInput, let source { loop.callAgain(source) }
  }

  private func flush() {
    isFlushing = false
    guard let handle, hold == .nothing else { return }
    fill()
    while handle.wantsToWrite {
      let failure = handle.write()
      guard self.handle === handle else { return }
      if let failure {
        return lost(phase == .connecting ? .connectFailed(failure) : .connectionLost(failure))
      }
      // The socket takes no more now.
      if handle.wantsToWrite { break }
      // Messages of QoS 0 are done once written: then the next ones may go.
      fill()
    }
    let reads: Interest = phase == .disconnecting && handle.wantsToWrite ? [] : .reading
    watch(handle.wantsToWrite ? reads.union(.writing) : reads)
  }

  func watch(_ wanted: Interest) {
    guard wanted != interest, let source else { return }
    interest = wanted
    loop.change(source, wanted)
  }

  // MARK: Holding back

  /// Nothing is written until `release`, so that what is read from here on is not acknowledged.
  func holdWriting() { if hold == .nothing { hold = .writing } }

  /// Nothing is read either.
  func holdEverything() { hold = .readingAndWriting }

  func release() {
    hold = .nothing
    if isGone { return lost(.connectionLost("closed")) }
    watch(.reading)
    if let handle { readOn(handle) }
    needsWrite()
  }

  /// Keeps the broker from ending a connection that is silent because its acknowledgements are held.
  func pingWhileHeld() {
    if mayPing { handle?.pingNow() }
  }

  /// Nothing of the former connection counts any more.
  func forgetTraffic() {
    hold = .nothing
    isGone = false
    isFresh = false
  }
}
