import Foundation
import Loop
import TestSupport
import Testing

@testable import Kafka

/// What is stuck holds up itself and nothing else.
@Suite(.timeLimit(.minutes(3))) struct IndependenceTests {
  /// A second topic beside the fixture's.
  private func otherTopic(_ fixture: Fixture) async throws -> String {
    let other = fixture.topic + "-other"
    try await fixture.admin().createTopics([KafkaNewTopic(name: other, partitions: Fixture.partitions)])
    return other
  }

  private func consumer(_ fixture: Fixture, _ topics: [String], extra: [String: String] = [:]) throws
    -> KafkaConsumer
  {
    try KafkaConsumer(
      configuration: fixture.configuration(extra), loop: fixture.loop, group: fixture.group, instanceId: nil,
      topics: topics, logger: fixture.logger, startOffsets: { _ in [:] })
  }

  private func read(_ count: Int, of topic: String, from consumer: KafkaConsumer) async throws
    -> [KafkaMessage]
  {
    var all: [KafkaMessage] = []
    let end = ContinuousClock.now + .seconds(30)
    while all.count < count, .now < end {
      all += try await consumer.nextBatch(topic: topic, maximumCount: 500, wait: .milliseconds(500))
    }
    return all
  }

  @Test func aTopicThatIsNotReadDoesNotHoldUpAnother() async throws {
    let fixture = try await Fixture()
    let other = try await otherTopic(fixture)
    let producer = try fixture.producer()
    // More than librdkafka fetches ahead.
    let extra = ["queued.max.messages.kbytes": "100", "fetch.message.max.bytes": "50000"]
    let consumer = try consumer(fixture, [fixture.topic, other], extra: extra)
    let big = [UInt8](repeating: 1, count: 1000)
    try await fixture.deliver(
      (0..<2000).map { KafkaProducerMessage(topic: fixture.topic, key: "k\($0)".bytes, value: big) },
      by: producer)
    for round in 0..<20 {
      try await fixture.deliver(
        (0..<50).map {
          KafkaProducerMessage(topic: other, key: "k\($0)".bytes, value: "\(round * 50 + $0)".bytes)
        }, by: producer)
      let got = try await read(50, of: other, from: consumer)
      #expect(got.map(\.number).sorted() == Array(round * 50..<round * 50 + 50))
      #expect(got.allSatisfy { $0.topic == other })
    }
    // And nothing of the other was lost meanwhile.
    let rest = try await read(2000, of: fixture.topic, from: consumer)
    #expect(rest.count == 2000)
    for (_, messages) in Dictionary(grouping: rest, by: \.partition) {
      #expect(messages.map(\.offset) == (0..<Int64(messages.count)).map { $0 })
    }
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func partitionsAreTakenAndGivenBackWhileNothingIsRead() async throws {
    let fixture = try await Fixture()
    let other = try await otherTopic(fixture)
    let a = try consumer(fixture, [fixture.topic, other])
    try await eventually("one has all", within: 30) { a.assignment.count == 2 * Fixture.partitions }
    let b = try consumer(fixture, [fixture.topic, other])
    try await eventually("both have half", within: 30) {
      a.assignment.count == Fixture.partitions && b.assignment.count == Fixture.partitions
    }
    #expect(a.assignment.isDisjoint(with: b.assignment))
    await a.close(timeout: .seconds(5))
    await b.close(timeout: .seconds(5))
  }

  @Test(.enabled(if: KafkaServer.isKafka, "the development broker creates any topic"))
  func aTopicThatIsNotThereHoldsUpNothing() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer(["topic.metadata.propagation.max.ms": "600000"])
    let dead = (0..<30_000).map {
      KafkaProducerMessage(topic: fixture.topic + "-not-there", key: "k\($0)".bytes, value: "\($0)".bytes)
    }
    async let lost = producer.send(dead)
    for start in stride(from: 0, to: 1000, by: 50) {
      try await fixture.deliver(fixture.numbered(start..<start + 50), by: producer)
    }
    // Both in one.
    let mixed = Task { try await producer.send(dead.prefix(10) + fixture.numbered(1000..<1050)) }
    let consumer = try fixture.consumer()
    #expect(try await fixture.read(1050, from: consumer).map(\.number).sorted() == Array(0..<1050))
    await producer.shutdown(timeout: .milliseconds(100))
    #expect(try await lost.allSatisfy { $0.error?.isRetryable == true })
    #expect(try await mixed.value.map { $0.error == nil } == (0..<60).map { $0 >= 10 })
    await consumer.close(timeout: .seconds(5))
  }

  @Test(arguments: [KafkaProducer.Reading.atOnce, .inPassing])
  func whatABudgetLeavesIsServedInTheNextTurns(reading: KafkaProducer.Reading) async throws {
    let fixture = try await Fixture()
    let producer = try KafkaProducer(
      configuration: fixture.configuration(), loop: fixture.loop, logger: fixture.logger, gathering: .zero,
      reading: reading, budget: 1)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for start in stride(from: 0, to: 4000, by: 20) {
        group.addTask {
          try await fixture.deliver(fixture.numbered(start..<start + 20, keys: 64), by: producer)
        }
      }
      try await group.waitForAll()
    }
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func inACrowdNothingIsLostOrSwapped() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    let consumer = try fixture.consumer()
    let crowd = fixture.loop.task {
      while !Task.isCancelled {
        fixture.loop.arrived(1000)
        try? await fixture.loop.sleep(for: .milliseconds(1))
      }
    }
    async let reading = fixture.read(3000, from: consumer)
    // A key is only sent by one task.
    try await withThrowingTaskGroup(of: Void.self) { group in
      for key in 0..<30 {
        group.addTask {
          for number in 0..<100 {
            let value = "\(key * 100 + number)".bytes
            try await fixture.deliver(
              [KafkaProducerMessage(topic: fixture.topic, key: "k\(key)".bytes, value: value)], by: producer)
          }
        }
      }
      try await group.waitForAll()
    }
    let got = try await reading
    #expect(got.map(\.number).sorted() == Array(0..<3000))
    for (_, messages) in Dictionary(grouping: got, by: { $0.key ?? [] }) {
      #expect(messages.map(\.number) == messages.map(\.number).sorted())
    }
    crowd.cancel()
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }
}

@Suite(.timeLimit(.minutes(3))) struct ReadingTests {
  @Test func onlyTheHeadersThatAreNamedAreRead() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    let headers = ["a", "b", "c", "b"].map { KafkaHeader($0, "value of " + $0) }
    try await fixture.deliver(
      [
        KafkaProducerMessage(
          topic: fixture.topic, key: "k".bytes, value: "v".bytes, headers: KafkaHeaders(headers)),
        KafkaProducerMessage(topic: fixture.topic, key: "k".bytes, value: "v".bytes),
      ], by: producer)
    for (wanted, expected) in [
      (["b", "x"], [headers[1], headers[3]]), ([], []), (nil as [String]?, headers),
    ] {
      let consumer = try KafkaConsumer(
        configuration: fixture.configuration(), loop: fixture.loop, group: UUID().uuidString, instanceId: nil,
        topics: [fixture.topic], headers: wanted, logger: fixture.logger, startOffsets: { _ in [:] })
      let got = try await fixture.read(2, from: consumer)
      #expect(got.map(\.headers) == [KafkaHeaders(expected), []])
      await consumer.close(timeout: .seconds(5))
    }
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func withoutStartOffsetsItGoesOnWhereTheGroupHasCommitted() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    try await fixture.deliver(fixture.numbered(0..<200, keys: 64), by: producer)
    func consumer() throws -> KafkaConsumer {
      try KafkaConsumer(
        configuration: fixture.configuration(), loop: fixture.loop, group: fixture.group, instanceId: nil,
        topics: [fixture.topic], logger: fixture.logger, startOffsets: nil)
    }
    let first = try consumer()
    let all = try await fixture.read(200, from: first)
    #expect(all.count == 200, "from the earliest, where nothing is committed")
    // Half of each partition.
    let half = Dictionary(grouping: all, by: \.place).mapValues { Int64($0.count / 2) }
    try await first.commitAndWait(half)
    await first.close(timeout: .seconds(5))
    let second = try consumer()
    let rest = try await fixture.read(all.filter { $0.offset >= half[$0.place] ?? 0 }.count, from: second)
    for (place, messages) in Dictionary(grouping: rest, by: \.place) {
      #expect(messages.first?.offset == half[place])
    }
    await second.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }
}
