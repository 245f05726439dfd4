import Foundation
import Kafka
import TestSupport
import Testing

@Suite struct AdminTests {
  @Test func topicsAreCreatedOnce() async throws {
    let fixture = try await Fixture(create: false)
    let admin = try fixture.admin()
    let topic = KafkaNewTopic(
      name: fixture.topic, partitions: Fixture.partitions, config: ["cleanup.policy": "compact"])
    #expect(try await admin.partitions(of: fixture.topic) == nil)
    try await admin.createTopics([topic])
    try await admin.createTopics([topic])
    try await eventually("the topic is known") {
      try await admin.partitions(of: fixture.topic) == Fixture.partitions
    }
    #expect(try await admin.topics()[fixture.topic] == Fixture.partitions)
    await admin.shutdown()
    await #expect(throws: KafkaError.self) { try await admin.topics() }
  }

  @Test(.enabled(if: KafkaServer.isKafka, "the development broker knows no settings"))
  func aBadSettingIsAnError() async throws {
    let fixture = try await Fixture(create: false)
    let admin = try fixture.admin()
    let bad = KafkaNewTopic(name: fixture.topic, partitions: 1, config: ["cleanup.policy": "nonsense"])
    let error = await #expect(throws: KafkaError.self) { try await admin.createTopics([bad]) }
    #expect(error?.isRetryable == false)
    await admin.shutdown()
  }

  @Test func endOffsetsCountWhatIsThere() async throws {
    let fixture = try await Fixture()
    let admin = try fixture.admin()
    let none = try await admin.endOffsets(topic: fixture.topic)
    #expect(none == Dictionary(uniqueKeysWithValues: (0..<Int32(Fixture.partitions)).map { ($0, 0) }))
    let producer = try fixture.producer()
    var want: [Int32: Int64] = none
    for delivery in try await producer.send(fixture.numbered(0..<100, keys: 64)) {
      if case .delivered(let partition, _) = delivery { want[partition, default: 0] += 1 }
    }
    // At once, and for many callers that share requests.
    try await withThrowingTaskGroup(of: [Int32: Int64].self) { group in
      for _ in 0..<50 { group.addTask { try await admin.endOffsets(topic: fixture.topic) } }
      for try await ends in group { #expect(ends == want) }
    }
    // By the handle of a producer, which a service has anyway.
    #expect(try await producer.endOffsets(topic: fixture.topic) == want)
    await producer.shutdown(timeout: .seconds(5))
    await admin.shutdown()
  }

  @Test func aBrokerThatIsAwayIsATimeout() async throws {
    let fixture = try await Fixture(create: false)
    let configuration = KafkaConfiguration(bootstrapServers: "127.0.0.1:\(try freePort())", clientId: "tests")
    let admin = try KafkaAdmin(configuration: configuration, loop: fixture.loop, logger: fixture.logger)
    let start = ContinuousClock.now
    let error = await #expect(throws: KafkaError.self) {
      try await admin.endOffsets(topic: "any", timeout: .milliseconds(300))
    }
    #expect(error?.isRetryable == true)
    #expect(.now - start < .seconds(5))
    await admin.shutdown()
  }
}
