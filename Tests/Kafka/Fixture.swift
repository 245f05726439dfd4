import Foundation
import Kafka
import Loop
import Observability
import TestSupport
import Threads

/// What most tests need: a broker, a topic of their own, and the wrappers on it.
struct Fixture {
  let server: KafkaServer
  let topic: String
  let group: String
  let log = LogCapture()
  let loop = EventLoop.start("kafka-test")

  /// The devkafka broker creates topics with 4 partitions, so that is the number everywhere.
  static let partitions = 4

  init(_ server: KafkaServer? = nil, create: Bool = true, config: [String: String] = [:]) async throws {
    if let server { self.server = server } else { self.server = try await .shared() }
    let id = UUID().uuidString.prefix(8)
    topic = "test-\(id)"
    group = "group-\(id)"
    guard create else { return }
    let admin = try admin()
    try await admin.createTopics([KafkaNewTopic(name: topic, partitions: Self.partitions, config: config)])
    await admin.shutdown()
  }

  var logger: Logger { Logger(label: "test", level: .debug, output: log) }

  func configuration(_ extra: [String: String] = [:]) -> KafkaConfiguration {
    KafkaConfiguration(bootstrapServers: server.bootstrapServers, clientId: "tests", extra: extra)
  }

  func admin() throws -> KafkaAdmin {
    try KafkaAdmin(configuration: configuration(), loop: loop, logger: logger)
  }

  func producer(
    _ extra: [String: String] = [:], reading: KafkaProducer.Reading = .atOnce
  ) throws -> KafkaProducer {
    try KafkaProducer(configuration: configuration(extra), loop: loop, logger: logger, reading: reading)
  }

  func consumer(
    instance: String? = nil, extra: [String: String] = [:],
    from startOffsets: @escaping @Sendable ([KafkaPartition]) async throws -> [KafkaPartition: Int64] = { _ in
      [:]
    }
  ) throws -> KafkaConsumer {
    try KafkaConsumer(
      configuration: configuration(extra), loop: loop, group: group, instanceId: instance, topics: [topic],
      logger: logger,
      startOffsets: startOffsets)
  }

  /// Messages `from..<to`, with the number as the value and `keys` different keys.
  func numbered(_ range: Range<Int>, keys: Int = 16) -> [KafkaProducerMessage] {
    range.map { KafkaProducerMessage(topic: topic, key: "k\($0 % keys)".bytes, value: "\($0)".bytes) }
  }

  /// Sends all, and throws unless all were delivered.
  func deliver(_ messages: [KafkaProducerMessage], by producer: KafkaProducer) async throws {
    for delivery in try await producer.send(messages) {
      if let error = delivery.error { throw error }
    }
  }

  /// Reads until `count` messages are there, or the time is over.
  func read(_ count: Int, from consumer: KafkaConsumer, within seconds: Double = 30) async throws
    -> [KafkaMessage]
  {
    var all: [KafkaMessage] = []
    let end = ContinuousClock.now + .seconds(seconds)
    while all.count < count, .now < end {
      all += try await consumer.nextBatch(maximumCount: 500, wait: .milliseconds(500))
    }
    return all
  }
}

extension String {
  var bytes: [UInt8] { Array(utf8) }
}

extension KafkaMessage {
  /// The number that `Fixture.numbered` wrote.
  var number: Int { value.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? -1 }
  var place: KafkaPartition { KafkaPartition(topic: topic, partition: partition) }
}

/// A value that several tasks change.
final class Shared<Value: Sendable>: Sendable {
  private let mutex: Locked<Value>
  init(_ value: Value) { mutex = Locked(value) }
  var value: Value { mutex.withLock { $0 } }
  func change<R: Sendable>(_ body: (inout Value) -> R) -> R { mutex.withLock { value in body(&value) } }
}
