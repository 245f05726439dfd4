import FoundationEssentials
import Kafka
import Loop
import Observability
import Postgres
import Wire

/// Publishes a schema's outbox to Kafka: one relay at a time for each schema, whichever replica holds the lock; the
/// next takes over when it goes.
///
/// At least once, and in order for each key of a topic. What this process commits is published as it was handed over, and is
/// not read back; the table is read for what other replicas write, and after a takeover. `OutboxState` decides what goes
/// when, `OutboxPosition` where to read.
public actor OutboxRelay: Service {
  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  nonisolated let loop: EventLoop
  let database: PostgresClient
  let publisher: OutboxPublisher
  let logger: Logger
  /// What is done while this replica holds the lock.
  var term: OutboxTerm?
  private var terms = 0
  let wakeUp: Wakeup
  private let notify: Wakeup
  private var waiters: [Int64: Wakeup] = [:]
  private let channel: String
  /// Advisory locks are per database, so the schema's name is mixed in. "MRTLTOBX".
  private let lockKey: Int64

  /// - Parameters:
  ///   - service: the CloudEvents source is `/martlet/<service>`.
  ///   - schema: whose outbox it is.
  public init(
    service: String, schema: String, loop: EventLoop, database: PostgresClient, producer: KafkaProducer,
    logger: Logger, metrics: Metrics
  ) {
    let logger = logger.labelled("outbox-relay")
    (self.loop, self.database, self.logger) = (loop, database, logger)
    (wakeUp, notify) = (Wakeup(loop), Wakeup(loop))
    publisher = OutboxPublisher(
      producer: producer, encoder: EventEncoder(service: service), logger: logger,
      published: metrics.counter("martlet_outbox_published_total", help: "Records that Kafka has confirmed."))
    channel = "martlet_outbox_\(schema)"
    lockKey = Int64(bitPattern: schema.fnv1a(basis: 0x4D52_544C_544F_4258))
  }

  // MARK: What is told

  /// Writes records with the transaction's next round trip; they are on their way as soon as it is committed.
  @discardableResult
  public nonisolated func tell(_ events: [Event], on connection: PostgresConnection) async throws
    -> OutboxRecords
  {
    let records = OutboxRecords(events)
    guard !events.isEmpty else { return records }
    try await connection.enqueue(Outbox.insert(events)) { records.stored($0) }
    try await connection.afterCommit { self.loop.execute { self.assumeIsolated { $0.take(records) } } }
    return records
  }

  private func take(_ records: OutboxRecords) {
    guard let term else { return notify.signal() }
    term.hand(over: records)
    wakeUp.signal()
  }

  /// Waits until Kafka has what the next step waits for, for changes that others must be able to see at once.
  /// - Parameter records: committed.
  /// - Returns: false if that took longer than `limit`; they will be published all the same.
  public func published(_ records: OutboxRecords, within limit: Duration = .seconds(2)) async throws -> Bool {
    guard let row = records.place?.id, records.events.contains(where: \.isUrgent) else { return true }
    let waiter = Wakeup(loop)
    waiters[row] = waiter
    defer { waiters[row] = nil }
    let end = ContinuousClock.now + limit
    var patience: Duration = .milliseconds(5)
    while true {
      await waiter.wait(atMost: patience)
      if let isDone = term?.state.isUrgentDone(row) {
        if isDone { return true }
      } else if try await database.query(Outbox.isWaiting(row)).first?.decode(Int64.self) == 0 {
        // Another replica publishes, or it was done and deleted before we looked.
        return true
      }
      if ContinuousClock.now >= end { return false }
      patience = min(patience * 2, .milliseconds(100))
    }
  }

  // MARK: Running

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
        try await database.withAdvisoryLock(key: lockKey) { try await self.serve() }
      } catch is CancellationError where Task.isCancelled {
        throw CancellationError()
      } catch {
        logger.warning("starting over", ["error": "\(error)"])
        try await loop.sleep(for: .milliseconds(500))
      }
    }
  }

  /// One term, until the lock is lost or the service ends.
  private func serve() async throws {
    logger.info("publishing for this schema")
    terms += 1
    term = OutboxTerm(number: terms, loop: loop)
    do {
      while true { try await step() }
    } catch {
      // What is on its way is finished, also in a cancelled task: what Kafka has is not to be published again.
      await loop.task { await self.finish() }.value
      term = nil
      throw error
    }
  }

  private func step() async throws {
    try Task.checkCancellation()
    try await deleteFinished(atOnce: false)
    try await takeNews()
    try await readParked()
    send()
    guard let term else { return }
    // Whoever commits meanwhile has signalled already: then this returns at once.
    await wakeUp.wait(until: term.nextLook)
    await loop.endOfTurn(notBefore: term.gathering.next)
    term.gathering.began()
  }

  private func finish() async {
    let end = ContinuousClock.now + .seconds(1)
    while term?.state.isOnItsWay == true, .now < end {
      await wakeUp.wait(until: min(end, .now + .milliseconds(20)))
    }
    do { try await deleteFinished(atOnce: true) } catch {
      logger.debug("what is published was not deleted", ["error": "\(error)"])
    }
  }

  /// Every lane that can go does, each in a task of its own: none waits for another.
  private func send() {
    guard let term else { return }
    let number = term.number
    for (id, batch) in term.state.batches(at: .now, tellingEach: term.tellingEach) {
      loop.task { [publisher] in
        let isDone = await publisher.publish(batch)
        await self.reported(id, batch, isDone, number)
      }
    }
  }

  private func reported(
    _ id: OutboxState.LaneID, _ batch: [OutboxState.Entry], _ isDone: [Bool], _ number: Int
  ) {
    guard let term, term.number == number else { return }
    let before = term.backlog
    term.state.reported(id, batch, isDone: isDone, at: .now)
    if !waiters.isEmpty { for entry in batch { waiters[entry.row]?.signal() } }
    // A step looks at everything: not for each batch that has nothing behind it.
    if term.state.hasMore(id) || term.backlog != before { wakeUp.signal() }
  }

  /// Wake-ups of other replicas.
  private func listen() async throws {
    try await database.listen(channel) { _ in
      self.loop.execute { self.assumeIsolated { $0.toldByAnother() } }
    }
  }

  private func toldByAnother() {
    term?.mustRead = true
    wakeUp.signal()
  }

  /// Tells the replica that holds the lock, outside of the hot transactions and never more often than each 5 ms.
  private func notifyLeader() async throws {
    while true {
      await notify.wait()
      try Task.checkCancellation()
      do { _ = try await database.query("SELECT pg_notify(\(channel), '')") } catch let error as PostgresError
      {
        logger.debug("the relay's holder was not told", ["error": "\(error)"])
      }
      try await loop.sleep(for: .milliseconds(5))
    }
  }
}
