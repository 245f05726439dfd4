import BridgeDomain
import FoundationEssentials
import Kafka
import Loop
import Observability
import Runtime
import Synchronization
import Wire

/// Sends records until Kafka has confirmed every one of them.
struct ConfirmedProducer: Sendable {
  private let loop: EventLoop
  private let producer: KafkaProducer
  private let encoder = EventEncoder(service: "bridge")
  private let ids = RecordIds()
  private let logger: Logger
  private let held: LoopBound<(reports: HeldReports<HeldBatch>, timer: LoopTimer?)>

  init(loop: EventLoop, producer: KafkaProducer, logger: Logger) {
    self.loop = loop
    self.producer = producer
    self.logger = logger
    held = LoopBound(loop, (HeldReports(), nil))
  }

  /// Returns when all are in the log, in order for each key. Waits Kafka out for as long as it takes.
  ///
  /// - Parameter reports: may wait for what their devices say: a moment or, in a crowd, one to two windows of the producer.
  /// - Throws: when the task is cancelled or the producer has ended: then nothing is certain.
  func send(_ events: [Event], andWithAnswers reports: [Event] = []) async throws {
    let batch = HeldBatch(loop, of: reports.count)
    if !reports.isEmpty { hold(reports, with: batch) }
    if !events.isEmpty {
      // The report that a device has what it answers may be read in the same turn, and later: it goes before.
      await loop.endOfTurn()
      try await confirm(held.value.reports.take(before: events), and: events)
    }
    try await batch.confirmed()
  }

  private func hold(_ reports: [Event], with batch: HeldBatch) {
    let window = KafkaProducer.window * loop.load.crowd
    let now = ContinuousClock.now
    let moment = now + Patience.forAnswer
    // What is answered before this window ends may be read in the next.
    let end = window > .zero ? max(moment, loop.tick(after: now + window, each: window)) : moment
    for report in reports { held.value.reports.hold(report, until: end, batch) }
    wakeWhenDue()
  }

  private func wakeWhenDue() {
    guard held.value.timer == nil, let next = held.value.reports.next else { return }
    held.value.timer = loop.schedule(at: next) { [self] in
      loop.task {
        // Answers that were read in this turn take theirs along.
        await self.loop.endOfTurn()
        await self.sendDue()
      }
    }
  }

  private func sendDue() async {
    held.value.timer = nil
    let due = held.value.reports.takeDue(at: loop.now)
    wakeWhenDue()
    if !due.isEmpty { await confirm(due) }
  }

  /// Reports by themselves.
  private func confirm(_ reports: [HeldReports<HeldBatch>.Report]) async {
    let result = await Result { try await confirm(reports.map(\.event)) }
    for report in reports { report.ticket.settle(result) }
  }

  private func confirm(_ reports: [HeldReports<HeldBatch>.Report], and events: [Event]) async throws {
    do { try await confirm(reports.map(\.event) + events) } catch {
      // It is the uplink's task that was cancelled: whoever reports waits all the same.
      if !reports.isEmpty { loop.task { await self.confirm(reports) } }
      throw error
    }
    for report in reports { report.ticket.settle(.success(())) }
  }

  private func confirm(_ events: [Event]) async throws {
    let now = Date.now
    let events = JoinedReports.joined(events, now: now)
    var left = encoder.messages(events.count) { (events[$0], ids.next(), events[$0].time ?? now) }
    var backoff: Duration = .milliseconds(50)
    while true {
      let deliveries = try await producer.send(left)
      guard let failure = deliveries.lazy.compactMap(\.error).first else { return }
      logger.warning("Kafka did not confirm, sending again", ["error": failure.message])
      let failed = zip(left, deliveries).map { isLost($0, $1) }
      left = Resend.indices(keys: left.map(\.key), failed: failed).map { left[$0] }
      if left.isEmpty { return }
      try await loop.sleep(for: backoff)
      backoff = min(backoff * 2, .seconds(2))
    }
  }

  /// Sends one record, as often as it takes to hear where it is.
  /// - Returns: its offset.
  func place(of event: Event) async throws -> Int64 {
    while true {
      let deliveries = try await producer.send([encoder.message(event, id: ids.next(), time: .now)])
      // A repeat of one that Kafka had already has no offset: only its answer was lost.
      if case .delivered(_, let offset)? = deliveries.first, offset >= 0 { return offset }
      try await loop.sleep(for: .milliseconds(200))
    }
  }

  /// Whether it has to be sent again. What no broker of this cluster will ever take is given up, so that it does not
  /// hold everything else: it is larger than the topic's `max.message.bytes`, against what `martlet topics` sets.
  private func isLost(_ message: KafkaProducerMessage, _ delivery: KafkaDelivery) -> Bool {
    guard let error = delivery.error else { return false }
    guard error.isOfTheMessage else { return true }
    logger.error(
      "given up: the topic takes no record of this size",
      ["topic": message.topic, "bytes": "\(message.value?.count ?? 0)"])
    return false
  }
}

/// Reports that are held together: whoever holds them waits for all.
private final class HeldBatch: Sendable {
  private let state: LoopBound<(left: Int, failure: (any Error)?, waiter: UnsafeContinuation<Void, Never>?)>

  init(_ loop: EventLoop, of count: Int) { state = LoopBound(loop, (count, nil, nil)) }

  /// One of them is confirmed, or nothing is certain of it.
  func settle(_ result: Result<Void, any Error>) {
    state.value.left -= 1
    if case .failure(let error) = result { state.value.failure = error }
    if state.value.left == 0 { state.value.waiter.take()?.resume() }
  }

  func confirmed() async throws {
    if state.value.left > 0 { await withUnsafeContinuation { state.value.waiter = $0 } }
    if let failure = state.value.failure { throw failure }
  }
}

/// Ids for CloudEvents: unique within the source, and cheap, since each command's life takes three.
private final class RecordIds: Sendable {
  private let life = UUID.v7().text
  private let count = Atomic<Int>(0)

  func next() -> String {
    "\(life)-\(count.wrappingAdd(1, ordering: .relaxed).newValue)"
  }
}
