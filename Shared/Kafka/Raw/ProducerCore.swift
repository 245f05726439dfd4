import CRdKafka
import Loop
import Observability

/// A producer on its loop: what waits in lanes, the handle, and the making of a new one after a fatal error.
///
/// What is sent in one turn is handed to librdkafka together at its end; in a crowd, what is sent in a window.
actor ProducerCore {
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private nonisolated let loop: EventLoop
  private let configuration: KafkaConfiguration
  private let logger: Logger
  /// `nil` while it is being made anew, and after the end.
  private var handle: ProducerHandle?
  private var lanes = ProducerLanes()
  /// Keeps the batches alive that librdkafka points to.
  private var outstanding: [ObjectIdentifier: DeliveryBatch] = [:]
  private var gathering: Gathering
  private var flush: LoopSource?
  private var timer: LoopTimer?
  /// Something may be handed over.
  private var isDue = false
  private var isEnding = false
  private var isBroken = false
  /// Open when nothing is outstanding: of the shutdown, or of a handle that is given up.
  private var settled: Gate?
  private let reading: KafkaProducer.Reading
  private let budget: Int
  /// In passing: looks at what no turn has come by for so long. Longer and longer while nothing comes: Kafka may be away.
  private var look: LoopTimer?
  private var patience = ProducerCore.patience.least
  private static let patience: (least: Duration, most: Duration) = (.milliseconds(2), .milliseconds(100))

  /// - Parameter budget: how many reports are served in a turn.
  init(
    _ configuration: KafkaConfiguration, _ loop: EventLoop, _ logger: Logger, gathering: Duration,
    reading: KafkaProducer.Reading, budget: Int
  ) {
    (self.configuration, self.loop, self.logger) = (configuration, loop, logger)
    (self.reading, self.budget) = (reading, budget)
    self.gathering = Gathering(loop, atMost: gathering)
  }

  /// Begins to live on the loop, until `shutdown`.
  func open(_ raw: RawHandle) {
    flush = loop.flush(.early) { self.assumeIsolated { $0.turnEnds() } }
    take(raw)
  }

  private func take(_ raw: RawHandle) {
    let handle = ProducerHandle(raw, loop)
    if reading == .atOnce { handle.events.watch { self.assumeIsolated { $0.serve() } } }
    self.handle = handle
    isBroken = false
    isDue = true
  }

  func send(_ messages: [KafkaProducerMessage]) async throws(KafkaError) -> [KafkaDelivery] {
    guard !isEnding else { throw .closed }
    return await withUnsafeContinuation { waiter in
      let batch = DeliveryBatch(messages, waiter)
      outstanding[ObjectIdentifier(batch)] = batch
      lanes.add(batch)
      isDue = true
    }
  }

  /// For calls that any handle can make.
  func current() throws(KafkaError) -> RawHandle {
    if let raw = handle?.raw { return raw }
    throw isEnding ? .closed : KafkaError(RD_KAFKA_RESP_ERR__STATE, detail: "the producer is being made anew")
  }

  /// For tests: raises a fatal error as the broker's would.
  func raiseFatal() { handle?.raiseFatal() }

  // MARK: To librdkafka

  private func turnEnds() {
    if reading == .inPassing, let handle, !handle.events.isEmpty { serve() }
    if isDue { pushOrWait() }
  }

  private func pushOrWait() {
    let next = gathering.next
    if next <= loop.now { return push() }
    if timer == nil { timer = loop.schedule(at: next) { self.assumeIsolated { $0.timer = nil } } }
  }

  private func push() {
    isDue = false
    guard let handle, !isBroken, !lanes.isEmpty else { return }
    gathering.began()
    lanes.push { slot, topic in
      let batch = slot.pointee.batch.takeUnretainedValue()
      let message = batch.messages[slot - batch.slots]
      switch handle.produce(message, topic: topic, opaque: UnsafeMutableRawPointer(slot)) {
      case RD_KAFKA_RESP_ERR_NO_ERROR: return .onItsWay(bytes: message.value?.count ?? 0)
      // A fatal one is taken back up when the handle has been made anew.
      case RD_KAFKA_RESP_ERR__QUEUE_FULL, RD_KAFKA_RESP_ERR__FATAL: return .full
      case let error:
        if batch.report(slot, error) { finish(batch) }
        return .refused
      }
    }
    lookLater()
  }

  private func lookLater() {
    guard reading == .inPassing, look == nil, lanes.flying > 0 || !lanes.isEmpty else { return }
    look = loop.schedule(after: patience) { self.assumeIsolated { $0.lookNow() } }
  }

  private func lookNow() {
    look = nil
    patience = min(patience * 2, Self.patience.most)
    serve()
    lookLater()
  }

  // MARK: From librdkafka

  private func serve() {
    handle?.events.serve(budget: budget) { event in
      switch rd_kafka_event_type(event) {
      case RD_KAFKA_EVENT_DR: return reports(event)
      case RD_KAFKA_EVENT_LOG: logger.library(event)
      case RD_KAFKA_EVENT_ERROR where rd_kafka_event_error_is_fatal(event) != 0:
        broke(KafkaError(event: event))
      case RD_KAFKA_EVENT_ERROR: logger.waitedOut(event)
      default: break
      }
      return 1
    }
    // There may be room now.
    if !lanes.isEmpty { isDue = true } else if lanes.flying == 0 { look.take().map(loop.cancel) }
    if lanes.flying == 0, isBroken { settled?.open() }
  }

  /// - Returns: how many.
  private func reports(_ event: OpaquePointer) -> Int {
    var count = 0
    patience = Self.patience.least
    while let message = rd_kafka_event_message_next(event)?.pointee {
      count += 1
      guard let slot = message._private?.assumingMemoryBound(to: DeliveryBatch.Slot.self) else { continue }
      lanes.landed(slot.pointee.lane)
      let batch = slot.pointee.batch.takeUnretainedValue()
      if batch.report(slot, message.err, partition: message.partition, offset: message.offset) {
        finish(batch)
      }
    }
    return count
  }

  private func finish(_ batch: DeliveryBatch) {
    outstanding[ObjectIdentifier(batch)] = nil
    batch.finish()
    if outstanding.isEmpty { settled?.open() }
  }

  // MARK: Ends

  private func broke(_ error: KafkaError) {
    guard !isBroken, !isEnding else { return }
    isBroken = true
    logger.warning("the idempotent producer gave up and is made anew", ["error": error.message])
    loop.task { await self.renew() }
  }

  private func renew() async {
    await giveBack()
    while !isEnding {
      do {
        var raw: RawHandle? = try await loop.blocking { [configuration] in
          try ProducerHandle.raw(configuration)
        }
        if isEnding { return await RawHandle.retire(&raw, on: loop) }
        return raw.take().map(take) ?? ()
      } catch {
        logger.error("no producer could be made", ["error": "\(error)"])
        await Wakeup(loop).wait(atMost: .seconds(1))
      }
    }
  }

  /// Takes no more, waits until all is confirmed or the time is up, and frees the handle.
  func shutdown(within limit: Duration) async {
    guard !isEnding else { return }
    isEnding = true
    if !outstanding.isEmpty, limit > .zero {
      let gate = Gate(loop)
      settled = gate
      await gate.wait(atMost: limit)
    }
    isBroken = true
    await giveBack()
    abandon()
    flush.take().map(loop.cancel)
  }

  /// Frees the handle; what was not confirmed has its report, that it was not, before that.
  private func giveBack() async {
    if lanes.flying > 0 {
      let gate = Gate(loop)
      settled = gate
      handle?.purge()
      await gate.wait(atMost: .seconds(5))
    }
    settled = nil
    if lanes.flying > 0 { abandon() }
    var raw = handle.take()?.close()
    await RawHandle.retire(&raw, on: loop)
  }

  /// Messages that librdkafka never took, and any whose report did not come: failed.
  private func abandon() {
    lanes.removeAll()
    let left = outstanding.values
    outstanding = [:]
    for batch in left { batch.finish() }
  }
}
