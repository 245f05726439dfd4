import Foundation
import Kafka
import Loop
import Observability
import Postgres
import TestSupport
import Testing
import Threads
import Wire

@testable import Runtime

/// A consumer on a real database and a real broker, whose `apply` a test decides.
private final class Consumed: Sendable {
  let runtime: ServiceRuntime
  let consumer: BatchConsumer
  private let group = "t-\(UUID().uuidString.prefix(8).lowercased())"
  private let running: [Task<Void, any Error>]

  /// - Parameter apply: gets the values of this test's records only.
  init(_ apply: @escaping @Sendable ([String], PostgresConnection) async throws -> Void) async throws {
    var reader = SettingsReader(
      program: "tests", about: "",
      arguments: [
        "--kafka-bootstrap", try await KafkaServer.shared().bootstrapServers, "--log-level", "error",
      ],
      environment: ["MARTLET_DATABASE_URL": try await PostgresServer.shared().createDatabase("consumer")])
    let settings = CommonSettings(&reader, service: "test")
    try reader.finish()
    let loop = EventLoop.start("consumer-test")
    runtime = try ServiceRuntime(service: group, settings: settings, loop: loop)
    let admin = try KafkaAdmin(configuration: runtime.kafka, loop: loop, logger: runtime.logger)
    try await admin.createTopics([KafkaNewTopic(name: KafkaTopic.configEvents.rawValue, partitions: 2)])
    await admin.shutdown()
    consumer = runtime.consumer(.init(name: "test", topic: .configEvents)) { [group] messages, connection in
      let own = messages.filter { String(decoding: $0.key ?? [], as: UTF8.self).hasPrefix(group) }
      if !own.isEmpty {
        try await apply(own.map { String(decoding: $0.value ?? [], as: UTF8.self) }, connection)
      }
      return BatchResult()
    }
    let database = runtime.database
    let pool = Task { try await database.run() }
    _ = try await database.migrate(Outbox.migrations, set: "runtime")
    try await database.query("CREATE TABLE seen (number bigserial, value text NOT NULL)")
    running = [pool, loop.task(throwing: { [consumer] in try await consumer.run() })]
  }

  deinit { for task in running { task.cancel() } }

  func send(_ values: [String], key: String = "") async throws {
    let results = try await runtime.producer.send(
      values.map {
        KafkaProducerMessage(
          topic: KafkaTopic.configEvents.rawValue, key: Array((group + key).utf8), value: Array($0.utf8),
          headers: [KafkaHeader(EventHeader.type, group)])
      })
    #expect(results.allSatisfy { $0.error == nil })
  }

  static func keep(_ values: [String], _ connection: PostgresConnection) async throws {
    try await connection.query(
      "INSERT INTO seen (value) SELECT * FROM unnest(\(values)::text[]) AS v (value)")
  }

  var seen: [String] {
    get async throws {
      try await runtime.database.query("SELECT value FROM seen ORDER BY number").decode(String.self)
    }
  }

  /// The reasons on the dead-letter topic, which still lie in the outbox: no relay runs.
  var reasons: [String] {
    get async throws {
      try await runtime.database.query("SELECT records FROM outbox ORDER BY id").decode([UInt8].self).flatMap
      {
        try PackedRecords.unpack($0).compactMap { event in
          try event?.payload.flatMap { try JSON(parsing: $0)["reason"]?.string }
        }
      }
    }
  }
}

@Suite struct BatchConsumerTests {
  @Test func oneBadRecordIsSetAsideWithItsReasonAndTheOthersAreApplied() async throws {
    let consumed = try await Consumed { values, connection in
      try await Consumed.keep(values, connection)
      // The database refuses a value; the wrapper cannot read an answer; our own code throws.
      if values.contains("value") { try await connection.query("SELECT 'x'::text::bigint") }
      if values.contains("decoding") { _ = try await connection.query("SELECT 1.5").decode(UUID.self) }
      if values.contains("ours") { throw TestSupportError("a fault of ours") }
    }
    let values = (1...40).map { ["11": "value", "22": "decoding", "33": "ours"]["\($0)"] ?? "\($0)" }
    try await consumed.send(values)
    try await eventually("all are applied or set aside", within: 30) {
      let (seen, reasons) = (try await consumed.seen.count, try await consumed.reasons.count)
      return seen == 37 && reasons == 3
    }
    #expect(try await consumed.seen == values.filter { Int($0) != nil })
    let reasons = try await consumed.reasons
    #expect(reasons[0].contains("22P02"))
    #expect(reasons[1].contains("cannot be read as UUID"))
    #expect(reasons[2].contains("a fault of ours"))
    #expect(await consumed.consumer.notReady() == nil)
  }

  @Test func aKeyWithZeroBytesDoesNotKeepARecordFromBeingSetAside() async throws {
    let consumed = try await Consumed { values, connection in
      if values.contains("poison") { try await connection.query("SELECT 1 / 0") }
      try await Consumed.keep(values, connection)
    }
    try await consumed.send(["poison"], key: "-\0-")
    try await consumed.send(["after"], key: "-\0-")
    try await eventually("the one behind it is applied", within: 30) { try await consumed.seen == ["after"] }
    #expect(try await consumed.reasons.count == 1)
  }

  /// It may have been believed from memory; the second time it is read.
  @Test func whatMissesAGuardIsTriedOnceMoreAtOnceAndThenGoesBack() async throws {
    let tries = Locked<[String: Int]>([:])
    let consumed = try await Consumed { values, connection in
      let value = values[0]
      let count = tries.withLock { tries in
        tries[value, default: 0] += 1
        return tries[value, default: 0]
      }
      try await Consumed.keep(values, connection)
      // With the commit, as guards do.
      if value == "once" ? count == 1 : count < 4 {
        try await connection.enqueue(["SELECT expect_count(0, 1)"])
      }
    }
    try await consumed.send(["once"])
    try await eventually("it is applied", within: 30) { try await consumed.seen == ["once"] }
    #expect(tries.withLock { $0["once"] } == 2)
    try await consumed.send(["often"])
    try await eventually("it is applied", within: 30) { try await consumed.seen == ["once", "often"] }
    #expect(tries.withLock { $0["often"] } == 4)
    #expect(try await consumed.reasons == [])
  }

  @Test func troubleIsWaitedOutAndNothingIsSetAside() async throws {
    let failures = Failures()
    let consumed = try await Consumed { values, connection in
      try await Consumed.keep(values, connection)
      if let state = failures.next() {
        try await connection.execute(
          script: "DO $$ BEGIN RAISE EXCEPTION 'trouble' USING ERRCODE = '\(state)'; END $$")
      }
    }
    try await consumed.send(["a", "b", "c"])
    try await eventually("they are applied when the trouble is over", within: 30) {
      try await consumed.seen == ["a", "b", "c"]
    }
    #expect(failures.isOver)
    #expect(try await consumed.reasons.isEmpty)
  }

  @Test func whatIsWrongWithAllIsNotARecordsFault() async throws {
    let isBroken = Broken()
    let consumed = try await Consumed { values, connection in
      if isBroken.value { try await connection.query("SELECT FROM no_such_table") }
      try await Consumed.keep(values, connection)
    }
    let values = (1...60).map { "\($0)" }
    try await consumed.send(values)
    try await eventually("it has given up blaming records", within: 30) {
      try await consumed.reasons.count == ConsumerProgress.mostInARow
    }
    try await Task.sleep(for: .seconds(2))
    #expect(try await consumed.reasons.count == ConsumerProgress.mostInARow)
    isBroken.mend()
    try await eventually("all others are applied", within: 30) {
      try await consumed.seen.count == 60 - ConsumerProgress.mostInARow
    }
  }

  @Test func standingStillIsSaid() {
    var progress = ConsumerProgress()
    let start = ContinuousClock.now
    #expect(progress.complaint(at: start + .seconds(100)) == nil)
    progress.stuck(TestSupportError("why"), at: start)
    progress.stuck(TestSupportError("why now"), at: start + .seconds(20))
    #expect(progress.complaint(at: start + .seconds(29)) == nil)
    #expect(progress.complaint(at: start + .seconds(31))?.contains("31 s") == true)
    #expect(progress.complaint(at: start + .seconds(31))?.contains("why now") == true)
    progress.moved()
    #expect(progress.complaint(at: start + .seconds(100)) == nil)
  }
}

/// Some trouble, once each.
private final class Failures: Sendable {
  private let left = Locked(["40001", "40P01", "53300", "55P03", "57014", "58030", "25006", "MG001"])

  var isOver: Bool { left.withLock { $0.isEmpty } }

  func next() -> String? { left.withLock { $0.popLast() } }
}

private final class Broken: Sendable {
  private let isBroken = Locked(true)

  var value: Bool { isBroken.withLock { $0 } }

  func mend() { isBroken.withLock { $0 = false } }
}

@Suite("The service's member of its group")
struct GroupMemberTests {
  @Test("one that comes again and reads another topic too, as after an upgrade, is given that as well")
  func newTopics() async throws {
    let loop = EventLoop.start("member-test")
    let logger = Logger(label: "test", level: .error)
    let configuration = KafkaConfiguration(
      bootstrapServers: try await KafkaServer.shared().bootstrapServers, clientId: "tests")
    let group = "m-\(UUID().uuidString.prefix(8).lowercased())"
    let topics = ["\(group)-old", "\(group)-new"]
    let admin = try KafkaAdmin(configuration: configuration, loop: loop, logger: logger)
    try await admin.createTopics(topics.map { KafkaNewTopic(name: $0, partitions: 2) })
    await admin.shutdown()
    for count in 1...2 {
      let member = GroupMember(
        service: group, instance: "1", loop: loop, configuration: configuration, logger: logger)
      let mine = topics.prefix(count)
      for topic in mine { member.read(topic, gathering: .zero) { _ in [:] } }
      let consumer = try member.begin()
      try await eventually("it has \(mine)", within: 60) {
        _ = try await consumer.nextBatch(maximumCount: 1, wait: .milliseconds(50))
        return mine.allSatisfy(member.has)
      }
      await member.end()
    }
  }
}
