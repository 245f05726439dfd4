import CRdKafka

/// The one owner of an `rd_kafka_topic_t`, for reading some of its partitions without a group. It keeps the client's handle,
/// which must not go before it.
///
/// `@unchecked Sendable`: librdkafka's topic handles may be used from any thread, and the stored properties are constants.
final class TopicHandle: @unchecked Sendable {
  private let raw: RawHandle
  private let pointer: OpaquePointer

  init(_ raw: RawHandle, _ name: String) throws(KafkaError) {
    guard let pointer = rd_kafka_topic_new(raw.pointer, name, nil) else {
      throw KafkaError(rd_kafka_last_error())
    }
    (self.raw, self.pointer) = (raw, pointer)
  }

  deinit { rd_kafka_topic_destroy(pointer) }

  /// Has a partition's messages come to the queue, from that offset on.
  func start(_ partition: Int32, at offset: Int64, _ queue: OpaquePointer?) throws(KafkaError) {
    guard rd_kafka_consume_start_queue(pointer, partition, offset, queue) == 0 else {
      throw KafkaError(rd_kafka_last_error())
    }
  }

  /// Waits for the library's own thread, not for a broker.
  func stop(_ partition: Int32) { rd_kafka_consume_stop(pointer, partition) }
}
