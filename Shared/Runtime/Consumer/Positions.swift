import Kafka

/// Where a consumer believes each of its partitions to be: what the stored offset was when it last looked or moved.
struct Positions {
  private var next: [KafkaPartition: Int64] = [:]

  mutating func set(_ offsets: [KafkaPartition: Int64]) { next.merge(offsets) { $1 } }

  /// The moves that applying these messages makes, one for each partition.
  func moves(for messages: [KafkaMessage]) -> [ConsumerOffsets.Move] {
    var last: [KafkaPartition: Int64] = [:]
    // Those of one partition mostly stand together: only the last of each such run is noted.
    for (index, message) in messages.enumerated() {
      if index + 1 < messages.count, messages[index + 1].partition == message.partition,
        messages[index + 1].topic == message.topic
      {
        continue
      }
      last[KafkaPartition(topic: message.topic, partition: message.partition)] = message.offset
    }
    return last.map { partition, offset in
      ConsumerOffsets.Move(partition: partition, expected: next[partition] ?? 0, next: offset + 1)
    }
  }
}
