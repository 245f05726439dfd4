import Observability
import Synchronization
import Threads

/// What a session is asked to do, in order.
enum SessionJob: Sendable {
  case start
  case publish(PublishBatch)
  case detached(MQTTMessage)
  case subscribe([MQTTSubscription], OneShot<Void>)
  case unsubscribe([String], OneShot<Void>)
  case disconnect(endSession: Bool, deadline: UInt64, OneShot<Void>)
  case abort
  /// The connector is done with that attempt.
  case opened(attempt: UInt64, OpenedHandle)
}

/// A handle on its way from the connector's thread to the loop's.
///
/// `@unchecked Sendable`: the connector makes it, puts it in here and never touches it again.
final class OpenedHandle: @unchecked Sendable {
  let result: Result<Mosquitto, MQTTError>
  init(_ result: Result<Mosquitto, MQTTError>) { self.result = result }
}

/// One session's life on its loop.
///
/// `@unchecked Sendable`: the configuration is constant, `inbox` and `isUp` are synchronised, and everything below
/// "confined" is touched only by the loop's thread, in calls that come from `LoopCore.run`.
final class SessionCore: @unchecked Sendable {
  /// Where the session stands.
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

  struct Inbox {
    var jobs: [SessionJob] = []
    var isScheduled = false
    /// Detached messages that were not handed to the library yet.
    var detachedWaiting = 0
  }

  struct InFlight {
    /// `nil` when nobody waits for the outcome.
    let batch: PublishBatch?
    let index: Int
  }

  struct Waiting {
    let batch: PublishBatch?
    let index: Int
    let detached: MQTTMessage?
  }

  /// More detached messages than this do not wait: a device that publishes into a stuck connection must not grow
  /// without bounds.
  static let detachedLimit = 10_000
  /// At most this many unacknowledged at once, even if the broker allows more: libmosquitto walks its list of them
  /// for every message. On a network with 10 ms it is still 25,000 messages a second.
  static let widestWindow = 256

  let configuration: MQTTConfiguration
  let loop: LoopCore
  let logger: Logger
  let onMessage: @Sendable (MQTTMessage) -> Void
  let onState: @Sendable (MQTTSessionState) -> Void
  let backoff = Backoff()
  let inbox = Locked(Inbox())
  let isUp = Atomic(false)

  // Confined to the loop's thread from here on.
  var phase = Phase.idle
  var subscriptions: [MQTTSubscription]
  var token: UInt64?
  var handle: Mosquitto?
  var watched: Int32 = -1
  var watchesWritable = false
  var attempt = 0
  var attemptNumber: UInt64 = 0
  var connectedAt: UInt64 = 0
  var deadline: UInt64?
  var heapDeadline: UInt64?
  var drain: (endSession: Bool, deadline: UInt64)?
  var leaving: [OneShot<Void>] = []
  var window = SessionCore.widestWindow
  var waiting: [Waiting] = []
  var waitingHead = 0
  var inFlight: [Int: InFlight] = [:]
  var requests: [Int: Request] = [:]
  var initialSubscriptions: Set<Int> = []
  var sessionPresent = false
  var brokerReason: MQTTDisconnectReason?
  var lastTold: MQTTDisconnectReason?
  var receivedSomething = false

  init(
    configuration: MQTTConfiguration, loop: LoopCore, subscriptions: [MQTTSubscription], logger: Logger,
    onMessage: @escaping @Sendable (MQTTMessage) -> Void,
    onState: @escaping @Sendable (MQTTSessionState) -> Void
  ) {
    self.configuration = configuration
    self.loop = loop
    self.subscriptions = subscriptions
    self.logger = logger
    self.onMessage = onMessage
    self.onState = onState
  }

  // MARK: From any thread

  /// Has the job done by the loop's thread, after those before it.
  func post(_ job: SessionJob) {
    let mustSchedule = inbox.withLock { inbox in
      inbox.jobs.append(job)
      defer { inbox.isScheduled = true }
      return !inbox.isScheduled
    }
    if mustSchedule, !loop.schedule(self) { refuseJobs() }
  }

  /// Takes a message whose outcome nobody awaits; `false` when too many wait already.
  func postDetached(_ message: MQTTMessage) -> Bool {
    let (taken, mustSchedule) = inbox.withLock { inbox in
      guard inbox.detachedWaiting < Self.detachedLimit else { return (false, false) }
      inbox.detachedWaiting += 1
      inbox.jobs.append(.detached(message))
      defer { inbox.isScheduled = true }
      return (true, !inbox.isScheduled)
    }
    if mustSchedule, !loop.schedule(self) { refuseJobs() }
    return taken
  }

  private func takeJobs() -> [SessionJob] {
    inbox.withLock { inbox in
      inbox.isScheduled = false
      defer { inbox.jobs.removeAll() }
      return inbox.jobs
    }
  }

  /// The loop has stopped: everyone who waits gets an answer.
  private func refuseJobs() {
    for job in takeJobs() {
      switch job {
      case .publish(let batch): batch.fail(.notConnected)
      case .subscribe(_, let waiter), .unsubscribe(_, let waiter):
        waiter.give(.failure(MQTTError.notConnected))
      case .disconnect(_, _, let waiter): waiter.give(.success(()))
      case .start, .abort, .detached, .opened: break
      }
    }
  }

  // MARK: The loop's thread

  func drainInbox() {
    for job in takeJobs() { perform(job) }
    afterWork()
  }

  private func perform(_ job: SessionJob) {
    switch job {
    case .start: start()
    case .publish(let batch):
      guard phase == .connected, drain == nil else { return batch.fail(.notConnected) }
      for index in batch.messages.indices where !batch.hasOutcome(index) {
        waiting.append(Waiting(batch: batch, index: index, detached: nil))
      }
    case .detached(let message):
      guard phase == .connected, drain == nil else { return dropDetached(1) }
      waiting.append(Waiting(batch: nil, index: 0, detached: message))
    case .subscribe(let subscriptions, let waiter): subscribe(subscriptions, waiter)
    case .unsubscribe(let filters, let waiter): unsubscribe(filters, waiter)
    case .disconnect(let endSession, let deadline, let waiter): leave(endSession, deadline, waiter)
    case .abort: end(.aborted)
    case .opened(let number, let opened): openedByConnector(number, opened)
    }
  }

  func dropDetached(_ count: Int) {
    inbox.withLock { $0.detachedWaiting -= count }
  }

  /// The loop ends: as a crash would, but whoever waits is told.
  func loopEnded() {
    if phase != .idle { end(.aborted) }
    refuseJobs()
  }
}
