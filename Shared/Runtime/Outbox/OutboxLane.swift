import Kafka
import Loop
import Observability
import Synchronization
import Wire

/// One of the streams in which a relay publishes: a batch at a time, in the order in which it was given the records.
///
/// What Kafka does not take is tried again, and what follows it with the same key waits behind it.
final class OutboxLane: Sendable {
  private struct State {
    var count = 0
    var waiting: [Outbox.Row] = []
    /// What Kafka has and the table still holds.
    var done: [Int64] = []
  }

  private static let batch = 1000
  /// Before what could not be published is tried again.
  private static let patience: Duration = .milliseconds(200)

  private let producer: KafkaProducer
  private let encoder: EventEncoder
  private let pace: Pace
  private let logger: Logger
  private let published: @Sendable ([Int64]) -> Void
  private let state = Mutex(State())
  private let loop: EventLoop
  private let bell: Wakeup

  /// - Parameters:
  ///   - pace: between two batches.
  ///   - published: called with the ids of what Kafka has.
  init(
    loop: EventLoop, producer: KafkaProducer, encoder: EventEncoder, pace: Pace, logger: Logger,
    published: @escaping @Sendable ([Int64]) -> Void
  ) {
    (self.loop, bell) = (loop, Wakeup(loop))
    (self.producer, self.encoder, self.pace) = (producer, encoder, pace)
    (self.logger, self.published) = (logger, published)
  }

  func add(_ rows: [Outbox.Row]) {
    guard !rows.isEmpty else { return }
    state.withLock { state in
      state.waiting += rows
      state.count += rows.count
    }
    bell.signal()
  }

  /// How many it was given that `takeDone` has not given back.
  var count: Int { state.withLock(\.count) }

  /// The ids of what Kafka has, each once.
  func takeDone() -> [Int64] {
    state.withLock { state in
      defer { state.done = [] }
      state.count -= state.done.count
      return state.done
    }
  }

  func run() async throws {
    var pace = pace
    while true {
      try Task.checkCancellation()
      try await pace.wait(on: loop)
      let rows = take()
      guard !rows.isEmpty else {
        await bell.wait()
        continue
      }
      pace.began(rows.count, at: .now)
      let (done, left) = try await publish(rows)
      state.withLock { state in
        state.done += done
        state.waiting.insert(contentsOf: left, at: 0)
      }
      published(done)
      if !left.isEmpty { try await loop.sleep(for: Self.patience) }
    }
  }

  private func take() -> [Outbox.Row] {
    state.withLock { state in
      defer { state.waiting.removeFirst(min(Self.batch, state.waiting.count)) }
      return Array(state.waiting.prefix(Self.batch))
    }
  }

  /// - Returns: the ids of those that Kafka has, for each key up to the first that it does not; and the others: what
  ///   follows that one is sent again behind it, in order.
  private func publish(_ rows: [Outbox.Row]) async throws -> (done: [Int64], left: [Outbox.Row]) {
    let deliveries = try await producer.send(
      rows.map { encoder.message($0.event, id: "\($0.id)", time: $0.createdAt) })
    var done: [Int64] = []
    done.reserveCapacity(rows.count)
    var left: [Outbox.Row] = []
    var failed: Set<String> = []
    for (row, delivery) in zip(rows, deliveries) {
      if failed.contains(row.event.key) {
        left.append(row)
      } else if try await isTaken(row, delivery) {
        done.append(row.id)
      } else {
        failed.insert(row.event.key)
        left.append(row)
      }
    }
    return (done, left)
  }

  private func isTaken(_ row: Outbox.Row, _ delivery: KafkaDelivery) async throws -> Bool {
    guard let error = delivery.error else { return true }
    if error.isOfTheMessage, try await setAside(row, error) { return true }
    logger.warning("not published yet", ["id": "\(row.id)", "type": row.event.type, "error": "\(error)"])
    return false
  }

  /// What no broker will ever take must not hold up what follows it.
  /// - Returns: whether the dead-letter topic has it.
  private func setAside(_ row: Outbox.Row, _ error: KafkaError) async throws -> Bool {
    logger.error(
      "set aside on the dead-letter topic", ["id": "\(row.id)", "type": row.event.type, "error": "\(error)"])
    let letter = Event.deadLetter(
      origin: "outbox/\(row.id)", key: row.event.key, reason: "\(row.event.type): \(error)",
      payload: row.event.payload ?? [])
    let delivery = try await producer.send([encoder.message(letter, id: "\(row.id)", time: row.createdAt)])
    return delivery.allSatisfy { $0.error == nil }
  }
}
