import Foundation
import Kafka
import Loop
import Synchronization
import TestSupport
import Wire

/// Reads what the bridge puts on Kafka, from now on.
final class RecordReader: Sendable {
  private let consumer: KafkaConsumer
  private let kept = Mutex<[KafkaMessage]>([])
  private let task = Mutex<Task<Void, Never>?>(nil)

  init(_ configuration: KafkaConfiguration, _ loop: EventLoop, _ admin: KafkaAdmin) async throws {
    var starts: [KafkaPartition: Int64] = [:]
    let topics = [KafkaTopic.deviceUplink.rawValue, KafkaTopic.deadLetter.rawValue]
    for topic in topics {
      try await eventually("\(topic) is there") {
        // The development broker makes fewer of them than Kafka.
        try await admin.partitions(of: topic) ?? 0 > 0
      }
      for (partition, offset) in try await admin.endOffsets(topic: topic) {
        starts[KafkaPartition(topic: topic, partition: partition)] = offset
      }
    }
    consumer = try KafkaConsumer(
      configuration: configuration, loop: loop, group: "test-\(UUID().uuidString)", instanceId: nil,
      topics: topics,
      logger: BridgeStack.logger, startOffsets: { [starts] _ in starts })
    let reading = Task { [weak self, consumer] in
      while !Task.isCancelled {
        guard let messages = try? await consumer.nextBatch(maximumCount: 1000, wait: .seconds(1)) else {
          return
        }
        self?.kept.withLock { $0 += messages }
      }
    }
    task.withLock { $0 = reading }
    try await eventually("the reader has its partitions") { !consumer.assignment.isEmpty }
  }

  deinit { task.withLock { $0?.cancel() } }

  /// All of one topic, of one key if given.
  func all(_ topic: KafkaTopic, key: String? = nil) -> [KafkaMessage] {
    kept.withLock { messages in
      messages.filter {
        $0.topic == topic.rawValue
          && (key == nil || $0.key.map { String(decoding: $0, as: UTF8.self) } == key)
      }
    }
  }

  /// The uplinks of a device, in order.
  func uplinks(_ device: String) -> [Uplink] {
    all(.deviceUplink, key: device).flatMap { message in
      guard let kind = message.header(EventHeader.type).flatMap({ Uplink.Kind(rawValue: $0) }) else {
        return [Uplink]()
      }
      let value = message.value ?? []
      guard kind == .series else { return (try? [Uplink(kind, payload: value)]) ?? [] }
      return ((try? UplinkSeries.items(value)) ?? []).compactMap { try? Uplink($0.kind, payload: $0.payload) }
    }
  }
}
