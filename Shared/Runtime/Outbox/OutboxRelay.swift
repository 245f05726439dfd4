import FoundationEssentials
import Kafka
import Observability
import Postgres
import Synchronization
import Wire

/// Publishes a schema's outbox to Kafka: one relay at a time for each schema, whichever replica holds the lock; the
/// next takes over when it goes.
///
/// It takes what waits in id order, publishes it with the idempotent producer, and deletes it some milliseconds after
/// the delivery reports: at least once, and in order for each key.
public final class OutboxRelay: Service {
  private static let channel = "martlet_outbox"
  private static let batch = 1000
  /// How long, and how many, published records may wait to be deleted together.
  private static let deletion: (after: Duration, count: Int) = (.milliseconds(50), 2000)
  /// The safety net when no wake-up comes.
  private static let poll: Duration = .milliseconds(500)
  /// Before what could not be published is tried again.
  private static let patience: Duration = .milliseconds(200)
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
    var position = OutboxPosition()
    var pace = Pace()
    var published: [Int64] = []
    var lastDeletion = ContinuousClock.now
    // Keys of which something could not be published: what follows it waits for the next sweep, to keep their order.
    var stuck: Set<String> = []
    while true {
      try Task.checkCancellation()
      let start = ContinuousClock.now
      // What was passed by, or could not be published: after the deletion all that is left there.
      let isSweep = published.isEmpty && position.mustSweep(at: start)
      var rows = try await read(
        isSweep
          ? Outbox.select(after: position.floor, upTo: position.last, limit: Self.batch)
          : Outbox.select(after: position.last, or: position.missing, limit: Self.batch))
      let isFull = rows.count >= Self.batch
      // A sweep tries all keys anew; what a full one has not reached is held back as before.
      let held = isSweep && isFull ? stuck : []
      if isSweep {
        stuck = []
      } else {
        position.read(rows.map(\.id), at: start)
        rows.removeAll { stuck.contains($0.key) }
      }
      if !rows.isEmpty {
        pace.began(rows.count, at: start)
        published += try await publish(rows, stuck: &stuck)
      }
      stuck.formUnion(held)
      let soon = start + (stuck.isEmpty ? .zero : Self.patience)
      if isSweep {
        position.swept(at: start, next: rows.isEmpty ? nil : soon)
      } else if !stuck.isEmpty {
        position.sweep(at: soon)
      }
      let isTime = lastDeletion + Self.deletion.after <= .now || position.mustSweep(at: .now)
      if published.count >= Self.deletion.count || !published.isEmpty && isTime {
        try await database.pipeline(Outbox.delete(published))
        published = []
        lastDeletion = .now
      } else if !isSweep, !isFull, !position.mustSweep(at: .now) {
        // Whoever commits meanwhile has rung already: then this returns at once.
        await wakeUp.wait(atMost: published.isEmpty && stuck.isEmpty ? Self.poll : Self.deletion.after)
      }
      try await pace.wait()
    }
  }

  private func read(_ query: PostgresQuery) async throws -> [Outbox.Row] {
    try await database.query(query).map(Self.row).sorted { $0.id < $1.id }
  }

  /// - Parameter stuck: gains the keys of what could not be published.
  /// - Returns: the ids of those that Kafka has, for each key up to the first that it does not: what follows that
  ///   one is sent again behind it, in order.
  private func publish(_ rows: [Outbox.Row], stuck: inout Set<String>) async throws -> [Int64] {
    var ready: [(row: Outbox.Row, event: Event)] = []
    for row in rows where !stuck.contains(row.key) {
      if let event = row.event {
        ready.append((row, event))
      } else {
        stuck.insert(row.key)
        logger.error(
          "a record for a topic that only a newer version knows waits for that version", ["id": "\(row.id)"])
      }
    }
    let deliveries = try await producer.send(
      ready.map { encoder.message($0.event, id: "\($0.row.id)", time: $0.row.createdAt) })
    var done: [Int64] = []
    done.reserveCapacity(ready.count)
    var failed: Set<String> = []
    for ((row, event), delivery) in zip(ready, deliveries) where !failed.contains(row.key) {
      guard let error = delivery.error else {
        done.append(row.id)
        continue
      }
      if error.isOfTheMessage, try await setAside(event, row, error) {
        done.append(row.id)
      } else {
        failed.insert(row.key)
        logger.warning("not published yet", ["id": "\(row.id)", "type": event.type, "error": "\(error)"])
      }
    }
    stuck.formUnion(failed)
    published.increment(by: done.count)
    watch.published(done)
    return done
  }

  /// What no broker will ever take must not hold up what follows it.
  /// - Returns: whether the dead-letter topic has it.
  private func setAside(_ event: Event, _ row: Outbox.Row, _ error: KafkaError) async throws -> Bool {
    logger.error(
      "set aside on the dead-letter topic", ["id": "\(row.id)", "type": event.type, "error": "\(error)"])
    let letter = Event.deadLetter(
      origin: "outbox/\(row.id)", key: event.key, reason: "\(event.type): \(error)",
      payload: event.payload ?? [])
    let delivery = try await producer.send([encoder.message(letter, id: "\(row.id)", time: row.createdAt)])
    return delivery.allSatisfy { $0.error == nil }
  }

  private static func row(_ row: PostgresRow) throws -> Outbox.Row {
    let (id, topic, key, type, payload, traceparent, createdAt) = try row.decode(
      (Int64, String, String, String, String?, String?, Date).self)
    return Outbox.Row(
      id: id, key: key,
      event: KafkaTopic(rawValue: topic).map {
        Event(
          topic: $0, key: key, type: type, payload: payload.map { Array($0.utf8) }, traceparent: traceparent)
      }, createdAt: createdAt)
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
