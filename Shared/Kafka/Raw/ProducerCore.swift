import CRdKafka
import Observability
import Threads

/// A producer's handle, its queue of what librdkafka had no room for, and the one thread that serves delivery
/// reports and makes the handle anew after a fatal error.
final class ProducerCore: Sendable {
  /// A batch whose messages from `next` on are not with librdkafka yet.
  private struct Waiting {
    let batch: DeliveryBatch
    var next: Int
  }

  private struct State {
    /// `nil` while it is being made anew, and after the end.
    var handle: ProducerHandle?
    /// Batches in order; while there is one, new ones queue up behind it.
    var backlog: [Waiting] = []
    /// Keeps the batches alive that librdkafka points to.
    var outstanding: [ObjectIdentifier: (DeliveryBatch, CheckedContinuation<Void, Never>)] = [:]
    /// Set once by `stop`: until when messages may still be confirmed.
    var end: ContinuousClock.Instant?
  }

  /// Open when the handle is freed.
  let ended = Gate()
  private let state: Locked<State>
  private let configuration: KafkaConfiguration
  private let logger: Logger

  init(_ configuration: KafkaConfiguration, _ logger: Logger) throws {
    self.configuration = configuration
    self.logger = logger
    state = Locked(State(handle: try ProducerHandle(configuration, logger)))
  }

  /// Starts the thread, which keeps the core alive until `stop`.
  func start() throws {
    try startThread("kafka-producer") { self.run() }
  }

  func send(_ messages: [KafkaProducerMessage]) async throws -> [KafkaDelivery] {
    let batch = DeliveryBatch(messages) { batch in
      self.state.withLock { $0.outstanding.removeValue(forKey: ObjectIdentifier(batch)) }?.1.resume()
    }
    let isRefused = Locked(false)
    await withCheckedContinuation { continuation in
      let isTaken = state.withLock { state in
        guard state.end == nil else { return false }
        state.outstanding[ObjectIdentifier(batch)] = (batch, continuation)
        state.backlog.append(Waiting(batch: batch, next: 0))
        return true
      }
      guard isTaken else {
        isRefused.withLock { $0 = true }
        return continuation.resume()
      }
      push()
    }
    if isRefused.withLock({ $0 }) { throw KafkaError.closed }
    return batch.results()
  }

  /// Takes no more; the thread ends by then at the latest.
  func stop(within limit: Duration) {
    state.withLock { state in
      if state.end == nil { state.end = .now + limit }
      // Within the lock: outside of it this could be the last reference.
      state.handle?.wake()
    }
  }

  /// For tests: raises a fatal error as the broker's would.
  func raiseFatal() { state.withLock { $0.handle?.raiseFatal() } }

  /// Hands batches to librdkafka, in order, until it has no more room; then the thread goes on when there is.
  ///
  /// Only when all is confirmed that it had: what comes while five messages of its partition are on their way makes
  /// the library's thread spin until they are (2.0.2: 15,000 polls a second, a tenth of a core), and so it makes one
  /// batch of it.
  private func push() {
    let pushed = state.withLock { state in
      var count = 0
      guard let handle = state.handle, let first = state.backlog.first, first.next > 0 || handle.queued == 0
      else { return [DeliveryBatch]() }
      while count < state.backlog.count, Self.push(&state.backlog[count], to: handle) { count += 1 }
      defer { state.backlog.removeFirst(count) }
      return state.backlog.prefix(count).map(\.batch)
    }
    // Outside the lock: the last hold's release takes it.
    for batch in pushed { batch.release() }
  }

  /// Whether all of it is with librdkafka or was refused.
  private static func push(_ waiting: inout Waiting, to handle: ProducerHandle) -> Bool {
    let batch = waiting.batch
    while waiting.next < batch.messages.count {
      let index = waiting.next
      switch handle.produce(batch.messages[index], opaque: batch.opaque(index)) {
      case RD_KAFKA_RESP_ERR_NO_ERROR: break
      // A fatal one is taken back up when the handle has been made anew.
      case RD_KAFKA_RESP_ERR__QUEUE_FULL, RD_KAFKA_RESP_ERR__FATAL: return false
      case let error: batch.refuse(index, error)
      }
      waiting.next += 1
    }
    return true
  }
}

// The thread.
extension ProducerCore {
  private func run() {
    while step() {}
    ended.open()
  }

  /// One round; it alone holds the handle besides the state, so that a handle is freed here, on the thread, where
  /// waiting for librdkafka's threads is no harm.
  private func step() -> Bool {
    let (handle, end) = state.withLock { ($0.handle, $0.end) }
    if let end {
      finish(handle, end)
      return false
    }
    guard let handle else {
      replace()
      return true
    }
    handle.poll(.seconds(1))
    guard handle.isFatal else {
      push()
      return true
    }
    logger.warning("the idempotent producer gave up and is made anew", ["error": handle.fatal?.message ?? ""])
    state.withLock { $0.handle = nil }
    giveBack(handle)
    return true
  }

  private func finish(_ handle: ProducerHandle?, _ end: ContinuousClock.Instant) {
    while let handle, !handle.isFatal, handle.queued > 0 || state.withLock({ !$0.backlog.isEmpty }),
      .now < end
    {
      handle.poll(min(end - .now, .milliseconds(100)))
      push()
    }
    state.withLock { $0.handle = nil }
    if let handle { giveBack(handle) }
    abandon()
  }

  /// Messages that librdkafka never took, and any whose report did not come: failed.
  private func abandon() {
    let left = state.withLock { state in
      defer {
        state.backlog = []
        state.outstanding = [:]
      }
      return Array(state.outstanding.values)
    }
    for (_, continuation) in left { continuation.resume() }
  }

  /// Purges, and serves the reports of what was purged.
  private func giveBack(_ handle: ProducerHandle) {
    handle.purge()
    let bound = ContinuousClock.now + .seconds(5)
    while handle.queued > 0, .now < bound { handle.poll(.milliseconds(20)) }
  }

  private func replace() {
    do {
      let new = try ProducerHandle(configuration, logger)
      state.withLock { $0.handle = new }
      push()
    } catch {
      logger.error("no producer could be made", ["error": "\(error)"])
      Signal().wait(.seconds(1))
    }
  }
}
