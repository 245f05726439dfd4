import FoundationEssentials
import Kafka
import Loop
import Observability
import Postgres
import Synchronization
import Wire

/// Publishes a schema's outbox to Kafka: one relay at a time for each schema, whichever replica holds the lock; the
/// next takes over when it goes.
///
/// It takes what waits in id order, publishes it with the idempotent producer, and deletes it some milliseconds after
/// the delivery reports: at least once, and in order for each key. What the next step waits for has a lane of its own;
/// what only tells of a step gathers in the other.
public final class OutboxRelay: Service {
  private static let channel = "martlet_outbox"
  /// Of what only tells. librdkafka sends a request for each partition, so gathering saves requests by the dozen.
  private static let gathering = Pace(shortest: .milliseconds(50), longest: .milliseconds(50))
  /// "MRTLTOBX": the advisory lock of the schema's relay; locks are per database, so the schema is mixed in.
  private let lockKey: Int64

  private let database: PostgresClient
  private let producers: (urgent: KafkaProducer, gathering: KafkaProducer)
  private let encoder: EventEncoder
  private let logger: Logger
  private let published: Counter
  private let leads = Mutex(false)
  private let handoff = OutboxHandoff()
  private let loop: EventLoop
  private let wakeUp: Wakeup
  private let notify: Wakeup
  private let watch: PublicationWatch

  /// - Parameters:
  ///   - producer: for what the next step waits for.
  ///   - gathering: for what only tells, so that neither waits for the other's requests.
  public init(
    service: String, loop: EventLoop, database: PostgresClient, producer: KafkaProducer,
    gathering: KafkaProducer,
    logger: Logger, metrics: Metrics
  ) {
    self.loop = loop
    (wakeUp, notify, watch) = (Wakeup(loop), Wakeup(loop), PublicationWatch(loop))
    self.database = database
    producers = (producer, gathering)
    self.logger = logger.labelled("outbox-relay")
    encoder = EventEncoder(service: service)
    published = metrics.counter("martlet_outbox_published_total", help: "Records that Kafka has confirmed.")
    lockKey = service.utf8.reduce(0x4D52_544C_544F_4258) { ($0 ^ Int64($1)) &* 0x0100_0000_01B3 }
  }

  /// Writes records with the transaction's next round trip; they are on their way as soon as it is committed.
  @discardableResult
  public func tell(_ events: [Event], on connection: PostgresConnection) async throws -> OutboxRecords {
    let records = OutboxRecords(events)
    guard !events.isEmpty else { return records }
    try await connection.enqueue(Outbox.insert(events)) { records.stored($0) }
    try await connection.afterCommit { self.committed(records) }
    return records
  }

  /// The same, after the commit of a statement of one's own that wrote them.
  public func committed(_ records: OutboxRecords) {
    guard leads.withLock({ $0 }) else { return notify.signal() }
    handoff.add(records.rows)
    wakeUp.signal()
  }

  /// Waits until Kafka has what the next step waits for, for changes that others must be able to see at once.
  /// - Parameter records: committed.
  /// - Returns: false if that took longer than `limit`; they will be published all the same.
  public func published(_ records: OutboxRecords, within limit: Duration = .seconds(2)) async throws -> Bool {
    let ids = records.rows.filter(\.event.isUrgent).map(\.id)
    let waiter = watch.wait(for: ids)
    defer { watch.forget(ids) }
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
        try await loop.sleep(for: .milliseconds(500))
      }
    }
  }

  private func publishForEver() async throws {
    // What was handed over before the lock was held may be published already.
    _ = handoff.take()
    handoff.mustRead()
    let lanes = OutboxFeed.Lanes(
      urgent: lane(producers.urgent, Pace()), gathering: lane(producers.gathering, Self.gathering))
    let (loop, database, handoff, wakeUp, logger) = (loop, database, handoff, wakeUp, logger)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await lanes.urgent.run() }
      group.addTask { try await lanes.gathering.run() }
      group.addTask {
        var feed = OutboxFeed(loop: loop, database: database, handoff: handoff, lanes: lanes, logger: logger)
        try await feed.run(wokenBy: wakeUp)
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  private func lane(_ producer: KafkaProducer, _ pace: Pace) -> OutboxLane {
    OutboxLane(loop: loop, producer: producer, encoder: encoder, pace: pace, logger: logger) {
      [published, watch] ids in
      published.increment(by: ids.count)
      watch.published(ids)
    }
  }

  /// Wake-ups of other replicas.
  private func listen() async throws {
    try await database.listen(Self.channel) { _ in
      self.handoff.mustRead()
      self.wakeUp.signal()
    }
  }

  /// Tells the replica that holds the lock, outside of the hot transactions and never more often than each 5 ms.
  private func notifyLeader() async throws {
    while !Task.isCancelled {
      await notify.wait()
      try Task.checkCancellation()
      do { _ = try await database.query("SELECT pg_notify(\(Self.channel), '')") } catch let error
        as PostgresError
      {
        logger.debug("the relay's holder was not told", ["error": "\(error)"])
      }
      try await loop.sleep(for: .milliseconds(5))
    }
  }
}
