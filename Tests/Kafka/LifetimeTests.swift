import Foundation
import Kafka
import TestSupport
import Testing

@Suite(.serialized) struct LifetimeTests {
  /// Resident memory in MB.
  private func resident() throws -> Double {
    let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
    return Double(fields[1]).map { $0 * 4096 / 1_000_000 } ?? 0
  }

  /// librdkafka's own: each test beside this one has a loop, and its thread.
  private func threads() throws -> Int {
    let tasks = "/proc/self/task"
    return try FileManager.default.contentsOfDirectory(atPath: tasks).count { id in
      // One may have ended meanwhile.
      (try? String(contentsOfFile: "\(tasks)/\(id)/comm", encoding: .utf8))?.hasPrefix("rdk:") == true
    }
  }

  @Test func closingBeforeTheFirstAssignmentIsQuick() async throws {
    let fixture = try await Fixture()
    for wait in [nil, 0, 1, 5, 20, 100] as [Int?] {
      let consumer = try fixture.consumer()
      if let wait { _ = try await consumer.nextBatch(maximumCount: 1, wait: .milliseconds(wait)) }
      let start = ContinuousClock.now
      await consumer.close(timeout: .seconds(10))
      #expect(.now - start < .seconds(10))
      await #expect(throws: KafkaError.self) { try await consumer.nextBatch(maximumCount: 1, wait: .zero) }
    }
  }

  @Test func closingWhileStartOffsetsAreAwaitedIsQuick() async throws {
    let fixture = try await Fixture()
    let isAsked = Shared(false)
    let consumer = try fixture.consumer { _ in
      isAsked.change { $0 = true }
      try await Task.sleep(for: .seconds(600))
      return [:]
    }
    let waiting = Task { try await consumer.nextBatch(maximumCount: 1, wait: .seconds(600)) }
    try await eventually("offsets are asked for") { isAsked.value }
    let start = ContinuousClock.now
    await consumer.close(timeout: .seconds(10))
    #expect(.now - start < .seconds(5))
    await #expect(throws: KafkaError.self) { try await waiting.value }
    await #expect(throws: KafkaError.self) {
      try await consumer.seek([KafkaPartition(topic: fixture.topic, partition: 0): 0])
    }
  }

  @Test func closingWithoutABrokerIsBounded() async throws {
    let fixture = try await Fixture(create: false)
    let configuration = KafkaConfiguration(bootstrapServers: "127.0.0.1:\(try freePort())", clientId: "tests")
    let consumer = try KafkaConsumer(
      configuration: configuration, loop: fixture.loop, group: "g", instanceId: nil, topics: ["t"],
      logger: fixture.logger
    ) { _ in [:] }
    #expect(try await consumer.nextBatch(maximumCount: 1, wait: .milliseconds(300)).isEmpty)
    let start = ContinuousClock.now
    await consumer.close(timeout: .seconds(1))
    #expect(.now - start < .seconds(4))
  }

  @Test func batchesAndClientsLeaveNoMemoryBehind() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    func work() async throws {
      for start in 0..<1000 { try await fixture.deliver(fixture.numbered(start..<start + 10), by: producer) }
      // The development broker keeps a leaving member waiting for 3 s.
      for index in 0..<(KafkaServer.isKafka ? 15 : 3) {
        let consumer = try fixture.consumer()
        if index % 3 > 0 {
          _ = try await consumer.nextBatch(maximumCount: 100, wait: .milliseconds(index * 10))
        }
        // Every third is only let go.
        if index % 3 < 2 { await consumer.close(timeout: .seconds(5)) }
        let other = try fixture.producer()
        if index % 2 == 0 { try await fixture.deliver(fixture.numbered(0..<10), by: other) }
        if index % 3 < 2 { await other.shutdown(timeout: .seconds(5)) }
      }
    }
    try await work()
    try await work()
    // With those of the tests beside this one.
    try await eventually("let-go clients end", within: 150) { try threads() < 60 }
    let count = try threads()
    var growths: [Double] = []
    // What is lost is lost each time; what grows for another reason (the tests beside this one, a sanitizer's books) does not.
    repeat {
      let before = try resident()
      for _ in 0..<3 { try await work() }
      // Those of the tests beside this one too: they take a minute and a half with slow cores.
      try await eventually("all threads end", within: 150) { try threads() <= count + 2 }
      growths.append(try resident() - before)
      // 45 consumers, 45 producers and 30,000 messages: a leaked handle alone is over 1 MB.
    } while growths.count < 3 && growths.allSatisfy { $0 >= 30 }
    #expect(growths.contains { $0 < 30 }, "\(growths) MB")
    await producer.shutdown(timeout: .seconds(5))
  }
}
