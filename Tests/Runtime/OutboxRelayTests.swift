import FoundationEssentials
import Kafka
import Loop
import Observability
import Postgres
import TestSupport
import Testing
import Wire

@testable import Runtime

/// The relay between a real database and a real broker.
@Suite struct OutboxRelayTests {
  @Test func whatIsToldIsPublishedInOrderAndForgotten() async throws {
    try await withWorld { world in
      for number in 0..<20 {
        try await world.database.withTransaction { connection in
          try await world.relay.tell(
            [world.event(number * 2), world.event(number * 2 + 1, .deviceDownlink)], on: connection)
        }
      }
      let told = try await world.values(of: .commandsEvents, count: 20)
      #expect(told == (0..<20).map { $0 * 2 })
      let sent = try await world.values(of: .deviceDownlink, count: 20)
      #expect(sent == (0..<20).map { $0 * 2 + 1 })
      try await world.isEmptySoon()
    }
  }

  @Test func whatIsRolledBackIsNotTold() async throws {
    struct Oops: Error {}
    try await withWorld { world in
      await #expect(throws: Oops.self) {
        try await world.database.withTransaction { connection in
          try await world.relay.tell([world.event(1)], on: connection)
          throw Oops()
        }
      }
      try await world.database.withTransaction { try await world.relay.tell([world.event(2)], on: $0) }
      #expect(try await world.values(of: .commandsEvents, count: 1) == [2])
    }
  }

  @Test func theNextStepIsWaitedFor() async throws {
    try await withWorld { world in
      let records = try await world.database.withTransaction { connection in
        try await world.relay.tell([world.event(1, .deviceDownlink), world.event(2)], on: connection)
      }
      #expect(try await world.relay.published(records, within: .seconds(20)))
      #expect(try await world.values(of: .deviceDownlink, count: 1) == [1])
    }
  }

  @Test func whatCommitsLateIsPublishedAndHoldsNothingUp() async throws {
    try await withWorld { world in
      try await world.database.withTransaction { try await world.relay.tell([world.event(0)], on: $0) }
      #expect(try await world.values(of: .commandsEvents, count: 1) == [0])
      try await world.database.withConnection { late in
        try await late.query("BEGIN")
        try await late.query(world.raw(7, .deviceDownlink))
        for number in 1..<5 {
          try await world.database.withTransaction {
            try await world.relay.tell([world.event(number)], on: $0)
          }
        }
        #expect(try await world.values(of: .commandsEvents, count: 5) == [0, 1, 2, 3, 4])
        // Longer than it is asked for by name: the sweep has to find it.
        try await Task.sleep(for: .milliseconds(1500))
        try await late.query("COMMIT")
      }
      #expect(try await world.values(of: .deviceDownlink, count: 1) == [7])
      try await world.isEmptySoon()
    }
  }

  @Test func manyWritersAtOnceAreToldOnceEachAndInOrder() async throws {
    let (writers, each) = (6, 150)
    try await withWorld { world in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in 0..<writers {
          group.addTask {
            for number in 0..<each {
              try await world.database.withTransaction { connection in
                try await world.relay.tell([world.event(writer * 1000 + number)], on: connection)
                // Its id is given now, and visible later: others commit in between.
                try await connection.query("SELECT pg_sleep(\(Double.random(in: 0...0.02)))")
              }
            }
          }
        }
        try await group.waitForAll()
      }
      let told = try await world.values(of: .commandsEvents, count: writers * each)
      #expect(told.count == writers * each, "each once")
      for writer in 0..<writers {
        #expect(told.filter { $0 / 1000 == writer } == (0..<each).map { writer * 1000 + $0 })
      }
      try await world.isEmptySoon()
    }
  }

  @Test func whatNobodyToldOfIsFound() async throws {
    try await withWorld { world in
      try await world.database.query(world.raw(1, .commandsEvents))
      #expect(try await world.values(of: .commandsEvents, count: 1) == [1])
      try await world.database.query(world.raw(2, .commandsEvents))
      try await world.database.withTransaction { try await world.relay.tell([world.event(3)], on: $0) }
      #expect(
        try await world.values(of: .commandsEvents, count: 3) == [1, 2, 3], "in the order of the table")
    }
  }

  @Test func whatOthersCommittedIsWaitedFor() async throws {
    try await withWorld { world in
      try await world.database.query(world.raw(1, .registryEntities))
      #expect(try await world.relay.publishedAll(within: .seconds(20)))
      #expect(try await world.database.query("SELECT count(*) FROM outbox").decode(Int64.self) == [0])
      #expect(try await world.values(of: .registryEntities, count: 1) == [1])
      #expect(try await world.relay.publishedAll(within: .zero), "nothing waits")
      try await world.database.query("INSERT INTO outbox (records) VALUES (\(world.recordOfTheFuture))")
      #expect(try await !world.relay.publishedAll(within: .milliseconds(50)), "what no relay knows stays")
    }
  }

  @Test func aReplicaThatDoesNotPublishRingsTheOneThatDoes() async throws {
    try await withWorld { world in
      try await world.database.withTransaction { try await world.relay.tell([world.event(0)], on: $0) }
      #expect(try await world.values(of: .commandsEvents, count: 1) == [0])
      let other = try world.newRelay()
      let running = Task { try await other.run() }
      defer { running.cancel() }
      for number in 1..<4 {
        let relay = number == 2 ? world.relay : other
        try await world.database.withTransaction { try await relay.tell([world.event(number)], on: $0) }
      }
      #expect(try await world.values(of: .commandsEvents, count: 4) == [0, 1, 2, 3])
    }
  }

  @Test func recordsForATopicOfTheFutureStayAndHoldNothingUp() async throws {
    try await withWorld { world in
      // More than may be on their way.
      try await world.database.query(
        """
        INSERT INTO outbox (records)
        SELECT \(world.recordOfTheFuture) FROM generate_series(1, 12000)
        """)
      try await world.database.withTransaction { try await world.relay.tell([world.event(1)], on: $0) }
      #expect(try await world.values(of: .commandsEvents, count: 1) == [1])
      try await Task.sleep(for: .milliseconds(1200))
      let left = try await world.database.query("SELECT count(*) FROM outbox").decode(Int64.self)
      #expect(left == [12000])
    }
  }

  private func withWorld(_ body: (RelayWorld) async throws -> Void) async throws {
    let world = try await RelayWorld()
    let running = [Task { try await world.database.run() }, Task { try await world.relay.run() }]
    defer { for task in running { task.cancel() } }
    _ = try await world.database.migrate(Outbox.migrations, set: "runtime")
    try await body(world)
  }
}

/// A database of its own, and a key of its own on the topics that all tests share.
struct RelayWorld: Sendable {
  let database: PostgresClient
  let relay: OutboxRelay
  let key = "relay-\(UUID.v7().text)"
  private let kafka: KafkaConfiguration
  private static let logger = Logger(label: "test", level: .critical)
  private let loop = EventLoop.start("relay-test")

  init() async throws {
    kafka = KafkaConfiguration(
      bootstrapServers: try await KafkaServer.shared().bootstrapServers, clientId: "tests")
    let admin = try KafkaAdmin(configuration: kafka, loop: loop, logger: Self.logger)
    try await admin.createTopics(KafkaTopic.allCases.map { KafkaNewTopic(name: $0.rawValue, partitions: 4) })
    await admin.shutdown()
    database = PostgresClient(
      configuration: try PostgresConfiguration(
        url: try await PostgresServer.shared().createDatabase("relay"), schema: "relay",
        applicationName: "tests"), loop: .start("postgres-test"), logger: Self.logger)
    relay = try Self.newRelay(database, kafka, loop)
  }

  /// Another replica's.
  func newRelay() throws -> OutboxRelay { try Self.newRelay(database, kafka, loop) }

  private static func newRelay(_ database: PostgresClient, _ kafka: KafkaConfiguration, _ loop: EventLoop)
    throws -> OutboxRelay
  {
    OutboxRelay(
      service: "tests", schema: "relay", loop: loop, database: database,
      producer: try KafkaProducer(configuration: kafka, loop: loop, logger: logger),
      logger: logger, metrics: Metrics())
  }

  func event(_ number: Int, _ topic: KafkaTopic = .commandsEvents) -> Event {
    Event(topic: topic, key: key, type: "test", json: .int(Int64(number)), traceparent: nil)
  }

  /// As a newer version packs it.
  var recordOfTheFuture: [UInt8] {
    ["martlet.of.the.future", key, "x", "{}"].reduce(into: []) { bytes, text in
      bytes += [0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8)
    } + [255, 255, 255, 255]
  }

  /// What someone writes who does not know of the relay.
  func raw(_ number: Int, _ topic: KafkaTopic) -> PostgresQuery {
    "INSERT INTO outbox (records) VALUES (\(PackedRecords([event(number, topic)]).bytes))"
  }

  /// The first `count` values with this key, in the order in which the topic has them, and any that follow at once.
  func values(of topic: KafkaTopic, count: Int) async throws -> [Int] {
    let consumer = try KafkaConsumer(
      configuration: kafka, loop: loop, group: "relay-\(UUID.v7().text)", instanceId: nil,
      topics: [topic.rawValue],
      logger: Self.logger, startOffsets: { Dictionary(uniqueKeysWithValues: $0.map { ($0, 0) }) })
    var values: [Int] = []
    let end = ContinuousClock.now + .seconds(20)
    while values.count < count, .now < end {
      values += try await numbers(consumer, within: .milliseconds(500))
    }
    values += try await numbers(consumer, within: .milliseconds(100))
    await consumer.close(timeout: .seconds(1))
    return values
  }

  private func numbers(_ consumer: KafkaConsumer, within limit: Duration) async throws -> [Int] {
    try await consumer.nextBatch(maximumCount: 1000, wait: limit)
      .filter { $0.key == Array(key.utf8) }.compactMap {
        Int(String(decoding: $0.value ?? [], as: UTF8.self))
      }
  }

  /// Fails unless the table is empty within a second.
  func isEmptySoon() async throws {
    for _ in 0..<50 {
      if try await database.query("SELECT count(*) FROM outbox").decode(Int64.self) == [0] { return }
      try await Task.sleep(for: .milliseconds(20))
    }
    Issue.record("the outbox is not empty")
  }
}
