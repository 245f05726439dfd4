import CRdKafka

/// The one owner of a librdkafka list of partitions with offsets.
struct PartitionList: ~Copyable {
  let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

  init(_ offsets: [KafkaPartition: Int64]) {
    pointer = rd_kafka_topic_partition_list_new(Int32(clamping: offsets.count))
    for (partition, offset) in offsets {
      rd_kafka_topic_partition_list_add(pointer, partition.topic, partition.partition).pointee.offset = offset
    }
  }

  deinit { rd_kafka_topic_partition_list_destroy(pointer) }

  /// The first error that librdkafka has put on one of them.
  var firstError: KafkaError? {
    for index in 0..<Int(pointer.pointee.cnt) {
      let error = pointer.pointee.elems[index].err
      if error != RD_KAFKA_RESP_ERR_NO_ERROR { return KafkaError(error) }
    }
    return nil
  }

  /// Partitions and offsets of a list that librdkafka owns.
  static func read(_ list: UnsafePointer<rd_kafka_topic_partition_list_t>?) -> [KafkaPartition: Int64] {
    guard let list = list?.pointee, list.cnt > 0 else { return [:] }
    var offsets: [KafkaPartition: Int64] = [:]
    for index in 0..<Int(list.cnt) {
      let element = list.elems[index]
      guard let topic = element.topic else { continue }
      offsets[KafkaPartition(topic: String(cString: topic), partition: element.partition)] = element.offset
    }
    return offsets
  }
}
