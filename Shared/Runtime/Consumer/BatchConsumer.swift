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
/// Trouble (database or broker away) is waited out at the same offset; a record that the database refuses is found
/// by going one by one and set aside.
public final class BatchConsumer: Service {
  /// Applies records inside the open transaction.
  public typealias Apply = @Sendable ([KafkaMessage], PostgresConnection) async throws -> BatchResult

  /// How a consumer reads.
  public struct Configuration: Sendable {
    /// Its name: the Kafka group is `martlet-<service>-<name>`, the stored offsets carry it.
    public let name: String
    public let topic: KafkaTopic
    /// The most records of one transaction.
    public var maximumBatch = 500
    /// How long Kafka may let records gather: zero where latency counts.
    public var gathering: Duration = .zero

    public init(name: String, topic: KafkaTopic) {
      self.name = name
      self.topic = topic
    }
  }

  private let configuration: Configuration
  private let loop: EventLoop
  private let offsets: ConsumerOffsets
  private let consumer: KafkaConsumer
  private let database: PostgresClient
  private let apply: Apply
  private let outbox: OutboxRelay
  private let logger: Logger
  private let applied: Counter
  private let setAside: Counter
  private let positions: Positions

  /// - Parameters:
  ///   - instance: a stable name of this replica, so that a restart takes its partitions back at once.
  ///   - outbox: for dead letters.
  public init(
    _ configuration: Configuration, service: String, instance: String, loop: EventLoop,
    kafka: KafkaConfiguration,
    database: PostgresClient, logger: Logger, metrics: Metrics,
    outbox: OutboxRelay, apply: @escaping Apply
  ) throws {
    self.configuration = configuration
    (self.loop, self.database) = (loop, database)
    self.apply = apply
    self.outbox = outbox
    self.logger = logger.labelled("consumer-\(configuration.name)")
    let offsets = ConsumerOffsets(consumer: configuration.name)
    let positions = Positions()
    self.offsets = offsets
    self.positions = positions
    let group = "martlet-\(service)-\(configuration.name)"
    consumer = try KafkaConsumer(
      configuration: kafka, group: group, instanceId: "\(group)-\(instance)",
      topics: [configuration.topic.rawValue], gathering: configuration.gathering, logger: logger,
      startOffsets: { partitions in
        let stored = try await offsets.load(partitions, from: database)
        positions.set(stored)
        return stored
      })
    let labels = [("consumer", configuration.name)]
    applied = metrics.counter("martlet_consumer_records_total", help: "Records applied.", labels: labels)
    setAside = metrics.counter(
      "martlet_dead_letters_total", help: "Records that could not be understood.", labels: labels)
  }

  /// What is not ready, for `/readyz`.
  public func notReady() -> String? { consumer.assignment.isEmpty ? "no partition assigned yet" : nil }

  public func run() async throws {
    defer { logger.debug("closed") }
    var pace = Pace()
    do {
      while true {
        try await step(&pace)
        try await pace.wait(on: loop)
      }
    } catch {
      await consumer.close(timeout: .seconds(2))
      throw error
    }
  }

  private func step(_ pace: inout Pace) async throws {
    let messages = try await consumer.nextBatch(maximumCount: configuration.maximumBatch, wait: .seconds(1))
    guard !messages.isEmpty else { return }
    pace.began(messages.count, at: .now)
    do { try await settle(messages) } catch is CancellationError { throw CancellationError() } catch {
      // Whatever it was, and however much of it was applied: the tables know.
      logger.warning("going back to what is stored", ["error": "\(error)"])
      try await goBack(messages)
    }
  }

  /// Applies them; a record that the database refuses is found by going one by one, and set aside.
  private func settle(_ messages: [KafkaMessage]) async throws {
    do { try await attempt(messages) } catch let error as PostgresError where error.isDataFault {
      guard messages.count > 1 else { return try await setAside(messages[0], error) }
      logger.warning("going one by one", ["error": "\(error)"])
      for message in messages { try await settle([message]) }
    }
  }

  /// Waits the trouble out, then goes on from where the tables are.
  private func goBack(_ messages: [KafkaMessage]) async throws {
    let partitions = Array(Set(messages.map { KafkaPartition(topic: $0.topic, partition: $0.partition) }))
    var backoff: Duration = .milliseconds(50)
    while true {
      try await loop.sleep(for: backoff)
      do {
        let stored = try await offsets.load(partitions, from: database)
        positions.set(stored)
        try await consumer.seek(stored)
        return
      } catch is CancellationError { throw CancellationError() } catch {
        logger.warning("waiting out trouble", ["error": "\(error)"])
      }
      backoff = min(backoff * 2, .seconds(2))
    }
  }

  private func attempt(_ messages: [KafkaMessage]) async throws {
    let moves = positions.moves(for: messages)
    let result = try await database.withTransaction { connection in
      try await connection.enqueue([self.offsets.move(moves, of: self.configuration.topic.rawValue)])
      let result = try await self.apply(messages, connection)
      let letters = result.rejected.map { Self.deadLetter($0.message, $0.reason) }
      try await self.outbox.tell(letters, on: connection)
      return result
    }
    finished(moves, count: messages.count)
    note(result.rejected.map(\.reason))
  }

  private func finished(_ moves: [ConsumerOffsets.Move], count: Int) {
    let next = Dictionary(uniqueKeysWithValues: moves.map { ($0.partition, $0.next) })
    positions.set(next)
    consumer.commit(next)
    applied.increment(by: count)
  }

  private func setAside(_ message: KafkaMessage, _ error: any Error) async throws {
    let moves = positions.moves(for: [message])
    try await database.withTransaction { connection in
      try await connection.enqueue([self.offsets.move(moves, of: self.configuration.topic.rawValue)])
      try await self.outbox.tell([Self.deadLetter(message, "\(error)")], on: connection)
    }
    finished(moves, count: 1)
    note(["\(error)"])
  }

  private func note(_ reasons: [String]) {
    setAside.increment(by: reasons.count)
    for reason in reasons {
      logger.warning(
        "set aside on the dead-letter topic", ["reason": reason, "topic": configuration.topic.rawValue])
    }
  }

  private static func deadLetter(_ message: KafkaMessage, _ reason: String) -> Event {
    .deadLetter(
      origin: "\(message.topic)/\(message.partition)@\(message.offset)",
      key: message.key.map { String(decoding: $0, as: UTF8.self) } ?? "", reason: reason,
      payload: message.value ?? [])
  }
}

extension PostgresError {
  /// The server refused the values themselves (SQLSTATE classes 22 and 23): trying again cannot help.
  var isDataFault: Bool { code.hasPrefix("22") || code.hasPrefix("23") }

  /// `expect_rows` (a migration of the runtime's) has ended the transaction: what it was to change is not as it was
  /// believed to be.
  var isMissedGuard: Bool { code == "MG001" }
}
