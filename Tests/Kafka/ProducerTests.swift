import Foundation
import Loop
import TestSupport
import Testing

@testable import Kafka

@Suite struct ProducerTests {
  @Test(arguments: [KafkaProducer.Reading.atOnce, .inPassing])
  func aFailureIsReportedForItsMessageOnly(reading: KafkaProducer.Reading) async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer(reading: reading)
    var messages = fixture.numbered(0..<5)
    messages[2].value = [UInt8](repeating: 1, count: 2_000_000)
    let deliveries = try await producer.send(messages)
    #expect(deliveries.map { $0.error == nil } == [true, true, false, true, true])
    #expect(deliveries[2].error?.message.contains("MSG_SIZE_TOO_LARGE") == true)
    #expect(deliveries[2].error?.isRetryable == false)
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test(.enabled(if: KafkaServer.isKafka, "the development broker creates any topic"))
  func anUnknownTopicIsReportedForItsMessageOnly() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer(["topic.metadata.propagation.max.ms": "500"])
    var messages = fixture.numbered(0..<3)
    // With headers: librdkafka 2.0.2 freed some twice on this path.
    messages[1] = KafkaProducerMessage(
      topic: fixture.topic + "-unknown", key: "k".bytes, value: "secret".bytes,
      headers: [KafkaHeader("a", "b")])
    let deliveries = try await producer.send(messages)
    #expect(deliveries.map { $0.error == nil } == [true, false, true])
    #expect(deliveries[1].error?.isRetryable == true)
    #expect(deliveries[1].error?.description.contains("secret") == false)
    // The second time librdkafka knows at once, and refuses while producing.
    let again = try await producer.send(messages)
    #expect(again.map { $0.error == nil } == [true, false, true])
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test(arguments: [KafkaProducer.Reading.atOnce, .inPassing])
  func aFullQueueIsWaitedFor(reading: KafkaProducer.Reading) async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer(["queue.buffering.max.messages": "10"], reading: reading)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for start in stride(from: 0, to: 2000, by: 500) {
        group.addTask { try await fixture.deliver(fixture.numbered(start..<start + 500), by: producer) }
      }
      try await group.waitForAll()
    }
    let consumer = try fixture.consumer()
    #expect(try await fixture.read(2000, from: consumer).map(\.number).sorted() == Array(0..<2000))
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test(arguments: [KafkaProducer.Reading.atOnce, .inPassing])
  func afterAFatalErrorTheProducerGoesOn(reading: KafkaProducer.Reading) async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer(reading: reading)
    #expect(try await producer.send(fixture.numbered(0..<10)).allSatisfy { $0.error == nil })
    for _ in 0..<3 {
      async let during = producer.send(fixture.numbered(0..<200))
      await producer.raiseFatal()
      for delivery in try await during {
        if let error = delivery.error { #expect(error.isRetryable) }
      }
      let errors = try await producer.send(fixture.numbered(0..<200)).compactMap(\.error)
      #expect(errors.isEmpty, "\(errors.count) of 200: \(errors.prefix(2))")
    }
    #expect(fixture.log.lines.contains { $0.contains("made anew") })
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test(arguments: [KafkaProducer.Reading.atOnce, .inPassing])
  func shutdownIsBoundedAndReportsTheRest(reading: KafkaProducer.Reading) async throws {
    let fixture = try await Fixture(create: false)
    // Nobody listens there.
    let configuration = KafkaConfiguration(bootstrapServers: "127.0.0.1:\(try freePort())", clientId: "tests")
    let producer = try KafkaProducer(
      configuration: configuration, loop: fixture.loop, logger: fixture.logger, reading: reading)
    async let sending = producer.send(fixture.numbered(0..<100))
    try await Task.sleep(for: .milliseconds(200))
    let start = ContinuousClock.now
    await producer.shutdown(timeout: .milliseconds(300))
    #expect(.now - start < .seconds(10))
    let deliveries = try await sending
    #expect(deliveries.count == 100)
    #expect(deliveries.allSatisfy { $0.error?.isRetryable == true })
    await #expect(throws: KafkaError.self) { try await producer.send(fixture.numbered(0..<1)) }
  }

  @Test func aRefusedSettingIsNamedWithoutItsValue() throws {
    let configuration = KafkaConfiguration(
      bootstrapServers: "127.0.0.1:1", clientId: "tests", extra: ["security.protocol": "secret"])
    let error = #expect(throws: KafkaError.self) {
      try KafkaProducer(configuration: configuration, loop: EventLoop(), logger: .init(label: "test"))
    }
    #expect(error?.message.contains("security.protocol") == true)
    #expect(error?.message.contains("secret") == false)
  }

  @Test(arguments: [KafkaProducer.Reading.atOnce, .inPassing])
  func eachKeyKeepsItsOrderAndItsPartition(reading: KafkaProducer.Reading) async throws {
    let fixture = try await Fixture()
    let one = try fixture.producer(reading: reading)
    let other = try fixture.producer(reading: reading)
    func messages(_ round: Int) -> [KafkaProducerMessage] {
      (0..<50).map {
        KafkaProducerMessage(topic: fixture.topic, key: "key-\($0)".bytes, value: "\(round)".bytes)
      }
    }
    func partitions(_ deliveries: [KafkaDelivery]) -> [Int32] {
      deliveries.map { if case .delivered(let partition, _) = $0 { partition } else { -1 } }
    }
    let expected = partitions(try await one.send(messages(0)))
    #expect(!expected.contains(-1))
    #expect(
      try await partitions(other.send((1..<20).flatMap(messages))) == (1..<20).flatMap { _ in expected })
    let consumer = try fixture.consumer()
    var rounds: [String: [Int]] = [:]
    for message in try await fixture.read(1000, from: consumer) {
      let key = String(decoding: message.key ?? [], as: UTF8.self)
      rounds[key, default: []].append(Int(String(decoding: message.value ?? [], as: UTF8.self)) ?? -1)
    }
    #expect(rounds.count == 50)
    for (key, rounds) in rounds { #expect(rounds == Array(0..<20), "\(key)") }
    await consumer.close(timeout: .seconds(5))
    await one.shutdown(timeout: .seconds(5))
    await other.shutdown(timeout: .seconds(5))
  }

  /// The values of Kafka's own `UtilsTest.testMurmur2`.
  @Test func murmur2IsKafkas() {
    let expected: [String: Int32] = [
      "21": -973_932_308, "foobar": -790_332_482, "a-little-bit-long-string": -985_981_536,
      "a-little-bit-longer-string": -1_486_304_829,
      "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58_897_971,
      "abc": 479_470_107,
    ]
    for (key, hash) in expected { #expect(Int32(bitPattern: Murmur2.hash(key.bytes)) == hash, "\(key)") }
  }

  /// No turn comes by here: only the producer's own patience looks, or this would never end.
  @Test(.timeLimit(.minutes(2)))
  func reportsAreReadInPassingThoughNothingElseHappens() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer(reading: .inPassing)
    for number in 0..<20 { try await fixture.deliver(fixture.numbered(number..<number + 1), by: producer) }
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func noSendWithoutMessages() async throws {
    let fixture = try await Fixture(create: false)
    let producer = try fixture.producer()
    #expect(try await producer.send([]).isEmpty)
    await producer.shutdown(timeout: .seconds(1))
  }
}
