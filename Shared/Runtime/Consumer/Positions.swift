import Kafka
import Synchronization

/// Where a consumer believes each of its partitions to be: what the stored offset was when it last looked or moved.
final class Positions: Sendable {
  private let next = Mutex<[KafkaPartition: Int64]>([:])

  func set(_ offsets: [KafkaPartition: Int64]) { next.withLock { $0.merge(offsets) { $1 } } }

  /// The moves that applying these messages makes, one for each partition.
  func moves(for messages: [KafkaMessage]) -> [ConsumerOffsets.Move] {
    var last: [KafkaPartition: Int64] = [:]
    for message in messages {
      last[KafkaPartition(topic: message.topic, partition: message.partition)] = message.offset
    }
    return next.withLock { next in
      last.map { partition, offset in
        ConsumerOffsets.Move(partition: partition, expected: next[partition] ?? 0, next: offset + 1)
      }
    }
  }
}
