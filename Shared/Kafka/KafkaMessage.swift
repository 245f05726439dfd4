/// One partition of one topic.
public struct KafkaPartition: Hashable, Sendable, CustomStringConvertible {
  /// The topic's name.
  public var topic: String
  /// The partition's number, from 0.
  public var partition: Int32

  /// Partition `partition` of `topic`.
  public init(topic: String, partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  /// As `topic/3`.
  public var description: String { "\(topic)/\(partition)" }
}

/// A message as it was read from a topic.
public struct KafkaMessage: Sendable {
  /// The topic it was read from.
  public var topic: String
  /// The partition it was read from.
  public var partition: Int32
  /// Its offset in the partition; the next one to read is at least one more.
  public var offset: Int64
  /// Its key, if it has one.
  public var key: [UInt8]?
  /// Its value; `nil` is a tombstone.
  public var value: [UInt8]?
  /// Its headers in the order in which they were written.
  public var headers: KafkaHeaders
  /// When it was written, in milliseconds since 1970; -1 where the broker gave none.
  public var timestamp: Int64

  /// A message from its parts, for tests and replays.
  public init(
    topic: String, partition: Int32, offset: Int64, key: [UInt8]?, value: [UInt8]?,
    headers: KafkaHeaders = [], timestamp: Int64 = -1
  ) {
    self.topic = topic
    self.partition = partition
    self.offset = offset
    self.key = key
    self.value = value
    self.headers = headers
    self.timestamp = timestamp
  }

  /// The text of the last header of that name, as Kafka's own clients read it; bytes that are no UTF-8 are
  /// replaced.
  public func header(_ name: String) -> String? { headers[name] }
}

/// A message to write.
public struct KafkaProducerMessage: Sendable {
  /// The topic to write to.
  public var topic: String
  /// Messages of one key keep their order and go to one partition, the same that Java clients choose.
  public var key: [UInt8]?
  /// The value; `nil` is a tombstone.
  public var value: [UInt8]?
  /// Headers, in order.
  public var headers: KafkaHeaders

  /// - Parameters:
  ///   - topic: the topic to write to.
  ///   - key: decides the partition; `nil` is any partition.
  ///   - value: `nil` is a tombstone.
  ///   - headers: written in the order given.
  public init(topic: String, key: [UInt8]?, value: [UInt8]?, headers: KafkaHeaders = []) {
    self.topic = topic
    self.key = key
    self.value = value
    self.headers = headers
  }
}

/// What became of one message that was sent.
public enum KafkaDelivery: Sendable {
  /// It is in the log of all in-sync replicas. The offset is -1 where the broker answered a repeat of a message
  /// that it already had.
  case delivered(partition: Int32, offset: Int64)
  /// It was not confirmed; see `KafkaError.isRetryable`.
  case failed(KafkaError)

  /// The error of a failed one.
  public var error: KafkaError? {
    if case .failed(let error) = self { error } else { nil }
  }
}
