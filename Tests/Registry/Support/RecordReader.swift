import Foundation
import Kafka
import Loop
import Observability
import TestSupport
import Wire

/// Reads a topic of the registry from now on.
struct RecordReader: Sendable {
  private let consumer: KafkaConsumer

  init(_ kafka: KafkaConfiguration, _ topic: KafkaTopic) async throws {
    let logger = Logger(label: "test", level: .error)
    let loop = EventLoop.start("test")
    let admin = try KafkaAdmin(configuration: kafka, loop: loop, logger: logger)
    let ends = try await admin.endOffsets(topic: topic.rawValue)
    consumer = try KafkaConsumer(
      configuration: kafka, loop: loop, group: "reader-\(UUID().uuidString)", instanceId: nil,
      topics: [topic.rawValue], logger: logger,
      startOffsets: { partitions in
        Dictionary(uniqueKeysWithValues: partitions.map { ($0, ends[$0.partition] ?? 0) })
      })
    _ = try await consumer.nextBatch(maximumCount: 1, wait: .milliseconds(1))
  }

  /// The next record of that key; nil for a tombstone.
  func next(_ key: String) async throws -> JSON? { try await next([key]).json }

  /// The next record of any of these keys, with its CloudEvents type.
  func next(_ keys: Set<String>) async throws -> (type: String, json: JSON?) {
    let end = ContinuousClock.now + .seconds(20)
    while .now < end {
      for message in try await consumer.nextBatch(maximumCount: 1, wait: .seconds(1))
      where keys.contains(String(decoding: message.key ?? [], as: UTF8.self)) {
        return (message.header(EventHeader.type) ?? "", try message.value.map { try JSON(parsing: $0) })
      }
    }
    throw TestSupportError("no record of \(keys)")
  }
}
