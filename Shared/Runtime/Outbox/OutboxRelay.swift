import FoundationEssentials
import Kafka
import Observability
import Postgres
import Synchronization
import Wire

/// Publishes a schema's outbox to Kafka: one relay at a time for each schema, whichever replica holds the lock; the
/// next takes over when it goes.
///
/// It takes what waits in id order, publishes it with the idempotent producer, and deletes it on the delivery
/// reports: at least once, and in order for each key.
public final class OutboxRelay: Service {
  private static let channel = "martlet_outbox"
  private static let batch = 1000
  /// The safety net when no wake-up comes.
  private static let poll: Duration = .milliseconds(500)
  /// "MRTLTOBX": the advisory lock of the schema's relay; locks are per database, so the schema is mixed in.
  private let lockKey: Int64

  private let database: PostgresClient
  private let producer: KafkaProducer
  private let encoder: EventEncoder
  private let logger: Logger
  private let published: Counter
  private let leads = Mutex(false)
  private let wakeUp = Wakeup()
  private let notify = Wakeup()
  private let watch = PublicationWatch()

  public init(
    service: String, database: PostgresClient, producer: KafkaProducer, logger: Logger, metrics: Metrics
  ) {
    self.database = database
    self.producer = producer
    self.logger = logger.labelled("outbox-relay")
    encoder = EventEncoder(service: service)
    published = metrics.counter("martlet_outbox_published_total", help: "Records that Kafka has confirmed.")
    lockKey = service.utf8.reduce(0x4D52_544C_544F_4258) { ($0 ^ Int64($1)) &* 0x0100_0000_01B3 }
  }

  /// Says that something waits: call it after each commit that wrote to the outbox.
  public func wake() {
    if leads.withLock({ $0 }) { wakeUp.signal() } else { notify.signal() }
  }

  /// Waits until Kafka has these records, for changes that others must be able to see at once.
  /// - Returns: false if that took longer than `limit`; they will be published all the same.
  public func published(_ ids: [Int64], within limit: Duration = .seconds(2)) async throws -> Bool {
    let waiter = watch.wait(for: ids)
    defer { watch.forget(ids) }
    wake()
    let end = ContinuousClock.now + limit
    var patience: Duration = .milliseconds(5)
    while true {
      await waiter.wait(atMost: patience)
      if waiter.isDone { return true }
      // Another replica publishes, or it was done before we began to wait: the rows are gone then.
      let waiting = try await database.query(Outbox.waiting(ids)).first?.decode(Int64.self) ?? 0
      if waiting == 0 { return true }
      if ContinuousClock.now >= end { return false }
      patience = min(patience * 2, .milliseconds(100))
    }
  }

  public func run() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.lead() }
      group.addTask { try await self.listen() }
      group.addTask { try await self.notifyLeader() }
      try await group.next()
      group.cancelAll()
    }
  }

  private func lead() async throws {
    while !Task.isCancelled {
      do {
        try await database.withAdvisoryLock(key: lockKey) {
          self.leads.withLock { $0 = true }
          defer { self.leads.withLock { $0 = false } }
          self.logger.info("publishing for this schema")
          try await self.publishForEver()
        }
      } catch is CancellationError where Task.isCancelled {
        throw CancellationError()
      } catch {
        logger.warning("starting over", ["error": "\(error)"])
        try await Task.sleep(for: .milliseconds(500))
      }
    }
  }

  private func publishForEver() async throws {
    var horizon = OutboxHorizon()
    var done: [Int64] = []
    while true {
      try Task.checkCancellation()
      // One round trip: forget what is published, take what waits.
      let queries = [Outbox.delete(done), Outbox.select(after: horizon.low, limit: Self.batch)]
      let results = try await database.withConnection { try await $0.pipeline(queries) }
      let rows = try results[1].map(Self.row)
      done = []
      guard let last = rows.last else {
        await wakeUp.wait(atMost: Self.poll)
        continue
      }
      horizon.saw(last.id, at: .now)
      done = try await publish(rows)
      let pause = done.isEmpty ? .milliseconds(200) : Gathering.pause(after: rows.count)
      if pause > .zero { try await Task.sleep(for: pause) }
    }
  }

  /// - Returns: the ids of those that Kafka has, for each key up to the first that it does not: what follows that
  ///   one is sent again behind it, in order.
  private func publish(_ rows: [Outbox.Row]) async throws -> [Int64] {
    let messages = rows.map { encoder.message($0.event, id: "\($0.id)", time: $0.createdAt) }
    let deliveries = try await producer.send(messages)
    var done: [Int64] = []
    done.reserveCapacity(rows.count)
    var stuck: Set<String> = []
    for (row, delivery) in zip(rows, deliveries) {
      switch delivery {
      case .delivered: if !stuck.contains(row.event.key) { done.append(row.id) }
      case .failed(let error):
        stuck.insert(row.event.key)
        logger.warning("not published yet", ["id": "\(row.id)", "type": row.event.type, "error": "\(error)"])
      }
    }
    published.increment(by: done.count)
    watch.published(done)
    return done
  }

  private static func row(_ row: PostgresRow) throws -> Outbox.Row {
    let (id, topic, key, type, payload, traceparent, createdAt) = try row.decode(
      (Int64, String, String, String, String?, String?, Date).self)
    guard let topic = KafkaTopic(rawValue: topic) else { throw UnknownTopic(name: topic) }
    return Outbox.Row(
      id: id,
      event: Event(
        topic: topic, key: key, type: type, payload: payload.map { Array($0.utf8) }, traceparent: traceparent),
      createdAt: createdAt)
  }

  /// Wake-ups of other replicas.
  private func listen() async throws {
    try await database.listen(Self.channel) { _ in self.wakeUp.signal() }
  }

  /// Tells the replica that holds the lock, outside of the hot transactions and never more often than each 5 ms.
  private func notifyLeader() async throws {
    while !Task.isCancelled {
      await notify.wait(atMost: .seconds(3600))
      try Task.checkCancellation()
      do { _ = try await database.query("SELECT pg_notify(\(Self.channel), '')") } catch let error
        as PostgresError
      {
        logger.debug("the relay's holder was not told", ["error": "\(error)"])
      }
      try await Task.sleep(for: .milliseconds(5))
    }
  }
}

/// From where the relay reads: behind the dead index entries of what it has deleted, but never past a row that may
/// still commit.
///
/// A transaction that is open for longer than 60 s is ended by the server's time-outs, so what a look of 60 s ago
/// passed is gone for good.
struct OutboxHorizon {
  private(set) var low: Int64 = 0
  private var seen: (id: Int64, at: ContinuousClock.Instant)?

  mutating func saw(_ id: Int64, at now: ContinuousClock.Instant) {
    guard let earlier = seen else {
      seen = (id, now)
      return
    }
    if now - earlier.at > .seconds(60) {
      low = earlier.id
      seen = (id, now)
    }
  }
}

struct UnknownTopic: Error, CustomStringConvertible {
  let name: String
  var description: String { "the outbox holds a record for the unknown topic \(name)" }
}
