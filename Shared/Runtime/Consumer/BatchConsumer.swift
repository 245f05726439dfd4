import Kafka
import Loop
import Observability
import Postgres
import Wire

/// What a batch leaves behind besides its own tables.
public struct BatchResult: Sendable {
  /// Records that could not be understood, with the reason; they go to the dead-letter topic.
  public var rejected: [(message: KafkaMessage, reason: String)] = []

  public init() {}

  /// Sets one aside.
  public mutating func reject(_ message: KafkaMessage, _ error: any Error) {
    rejected.append((message, "\(error)"))
  }
}

/// Applies Kafka records to a service's tables in batches, each exactly once: the offsets move in the transaction
/// that applies the records.
///
/// Trouble (database or broker away) is waited out at the same offset, however long it takes; any other fault is looked for in
/// halves, and the record that has it is set aside with its reason, at once if its values were refused, else after some tries.
/// Where record after record has one, it is not the records': then the consumer stands still and says so (`notReady`,
/// `martlet_consumer_stalled_seconds`).
public actor BatchConsumer: Service {
  /// Applies records inside the open transaction.
  public typealias Apply = @Sendable ([KafkaMessage], PostgresConnection) async throws -> BatchResult

  /// How a consumer reads.
  public struct Configuration: Sendable {
    /// Its name, which the stored offsets carry.
    public let name: String
    public let topic: KafkaTopic
    /// The most records of one transaction.
    public var maximumBatch = 500
    /// How long Kafka may let records gather; nil where it is all the same. All topics of a service are fetched together: the
    /// shortest that one states holds for all, and nothing gathers where none states any.
    public var gathering: Duration?

    public init(name: String, topic: KafkaTopic) {
      self.name = name
      self.topic = topic
    }
  }

  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private nonisolated let loop: EventLoop
  private let configuration: Configuration
  private let topic: String
  private let member: GroupMember
  private let offsets: ConsumerOffsets
  private let database: PostgresClient
  private let apply: Apply
  private let outbox: OutboxRelay
  private let logger: Logger
  private let applied: Counter
  private let setAside: Counter
  private let stalled: Gauge
  private var positions = Positions()
  private var progress = ConsumerProgress()

  /// How often a record is tried whose fault is not known.
  private static let tries = 3

  /// - Parameter outbox: for dead letters.
  init(
    _ configuration: Configuration, member: GroupMember, loop: EventLoop, database: PostgresClient,
    logger: Logger,
    metrics: Metrics, outbox: OutboxRelay, apply: @escaping Apply
  ) {
    (self.configuration, topic) = (configuration, configuration.topic.rawValue)
    (self.member, self.loop, self.database) = (member, loop, database)
    (self.outbox, self.apply) = (outbox, apply)
    self.logger = logger.labelled("consumer-\(configuration.name)")
    offsets = ConsumerOffsets(consumer: configuration.name)
    let labels = [("consumer", configuration.name)]
    applied = metrics.counter("martlet_consumer_records_total", help: "Records applied.", labels: labels)
    setAside = metrics.counter(
      "martlet_dead_letters_total", help: "Records that could not be understood.", labels: labels)
    stalled = metrics.gauge(
      "martlet_consumer_stalled_seconds", help: "How long records have waited that cannot be applied.",
      labels: labels)
    member.read(topic, gathering: configuration.gathering) { try await self.stored($0) }
  }

  /// What is not ready, for `/readyz`.
  public func notReady() -> String? {
    member.has(topic) ? progress.complaint(at: .now) : "no partition assigned yet"
  }

  public func run() async throws {
    defer { logger.debug("closed") }
    let consumer = try member.begin()
    do { while true { try await step(consumer) } } catch {
      await member.end()
      throw error
    }
  }

  /// Where the tables are.
  private func stored(_ partitions: [KafkaPartition]) async throws -> [KafkaPartition: Int64] {
    let stored = try await offsets.load(partitions, from: database)
    positions.set(stored)
    return stored
  }

  private func step(_ consumer: KafkaConsumer) async throws {
    let messages = try await consumer.nextBatch(
      topic: topic, maximumCount: configuration.maximumBatch, wait: .seconds(1))
    guard !messages.isEmpty else { return }
    do {
      try await settle(messages[...], consumer)
      noteProgress(nil)
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      // Whatever it was, and however much of it was applied: the tables know.
      logger.warning("going back to what is stored", ["error": "\(error)"])
      noteProgress(error)
      try await goBack(messages, consumer)
    }
  }

  private func noteProgress(_ error: (any Error)?) {
    if let error { progress.stuck(error, at: .now) } else { progress.moved() }
    stalled.set(progress.stalled(at: .now) / .seconds(1))
  }

  /// Applies them; one that has a fault of its own is found by going in halves, and set aside.
  private func settle(_ messages: ArraySlice<KafkaMessage>, _ consumer: KafkaConsumer) async throws {
    do { try await attempt(Array(messages), consumer) } catch is CancellationError {
      throw CancellationError()
    } catch {
      let fault = ConsumerFault(error)
      if fault == .trouble { throw error }
      guard messages.count > 1 else {
        return try await settle(messages[messages.startIndex], error, fault, consumer)
      }
      logger.warning("looking for the record that cannot be applied", ["error": "\(error)"])
      let middle = messages.startIndex + messages.count / 2
      try await settle(messages[..<middle], consumer)
      try await settle(messages[middle...], consumer)
    }
  }

  /// One that could not be applied by itself.
  private func settle(
    _ message: KafkaMessage, _ error: any Error, _ fault: ConsumerFault, _ consumer: KafkaConsumer
  ) async throws {
    var error = error
    if fault == .unknown {
      for _ in 1..<Self.tries {
        try await loop.sleep(for: .milliseconds(100))
        do { return try await attempt([message], consumer) } catch is CancellationError {
          throw CancellationError()
        } catch let next {
          error = next
          if ConsumerFault(next) == .trouble { throw next }
        }
      }
      guard progress.mayBlameRecord(of: Self.type(message)) else { throw error }
    }
    try await setAside(message, error, consumer)
  }

  /// Waits the trouble out, then goes on from where the tables are.
  private func goBack(_ messages: [KafkaMessage], _ consumer: KafkaConsumer) async throws {
    let partitions = Array(Set(messages.map { KafkaPartition(topic: $0.topic, partition: $0.partition) }))
    var backoff: Duration = .milliseconds(50)
    while true {
      try await loop.sleep(for: backoff)
      do {
        return try await consumer.seek(try await stored(partitions))
      } catch is CancellationError { throw CancellationError() } catch {
        logger.warning("waiting out trouble", ["error": "\(error)"])
        noteProgress(error)
      }
      backoff = min(backoff * 2, .seconds(2))
    }
  }

  /// Applies them; once more if a guard was missed: what was believed from memory is read now. If it is another replica's
  /// offsets, it is missed again.
  private func attempt(_ messages: [KafkaMessage], _ consumer: KafkaConsumer) async throws {
    do { try await attemptOnce(messages, consumer) } catch let error as PostgresError
      where error.isMissedGuard
    {
      try await attemptOnce(messages, consumer)
    }
  }

  private func attemptOnce(_ messages: [KafkaMessage], _ consumer: KafkaConsumer) async throws {
    let moves = positions.moves(for: messages)
    let result = try await database.withTransaction { [offsets, topic, apply, outbox] connection in
      try await connection.enqueue([offsets.move(moves, of: topic)])
      let result = try await apply(messages, connection)
      let letters = result.rejected.map { $0.message.deadLetter($0.reason) }
      try await outbox.tell(letters, on: connection)
      return result
    }
    finished(moves, count: messages.count, consumer)
    if progress.hasBlamed { progress.applied(Set(messages.map(Self.type))) }
    note(result.rejected.map(\.reason))
  }

  private func finished(_ moves: [ConsumerOffsets.Move], count: Int, _ consumer: KafkaConsumer) {
    let next = Dictionary(uniqueKeysWithValues: moves.map { ($0.partition, $0.next) })
    positions.set(next)
    consumer.commit(next)
    applied.increment(by: count)
  }

  private func setAside(_ message: KafkaMessage, _ error: any Error, _ consumer: KafkaConsumer) async throws {
    let moves = positions.moves(for: [message])
    try await database.withTransaction { [offsets, topic, outbox] connection in
      try await connection.enqueue([offsets.move(moves, of: topic)])
      try await outbox.tell([message.deadLetter("\(error)")], on: connection)
    }
    finished(moves, count: 1, consumer)
    note(["\(error)"])
  }

  private static func type(_ message: KafkaMessage) -> String { message.header(EventHeader.type) ?? "" }

  private func note(_ reasons: [String]) {
    setAside.increment(by: reasons.count)
    for reason in reasons {
      logger.warning(
        "set aside on the dead-letter topic", ["reason": reason, "topic": topic])
    }
  }
}
