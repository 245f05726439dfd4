import CRdKafka
import Loop

/// A consumer's librdkafka handle: the group's queue, and one for each topic. Confined to the loop.
final class ConsumerHandle {
  /// One topic's messages, of the partitions that this member has.
  final class Topic {
    let name: String
    let queue: EventQueue
    fileprivate(set) var partitions: Set<Int32> = []

    fileprivate init(_ name: String, _ queue: EventQueue) { (self.name, self.queue) = (name, queue) }
  }

  /// Rebalances, errors, answers to commits.
  let main: EventQueue
  let topics: [Topic]
  private(set) var raw: RawHandle?
  private let pointer: OpaquePointer
  private let chunk = UnsafeMutablePointer<UnsafeMutablePointer<rd_kafka_message_t>?>.allocate(
    capacity: ConsumerHandle.most)
  private static let most = 256

  /// Joins the group in the background.
  init(_ raw: RawHandle, topics names: [String], _ loop: EventLoop) throws(KafkaError) {
    (self.raw, pointer) = (raw, raw.pointer)
    rd_kafka_poll_set_consumer(pointer)
    guard let queue = rd_kafka_queue_get_consumer(pointer) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__UNKNOWN_GROUP)
    }
    main = EventQueue(queue, loop)
    topics = names.map { Topic($0, EventQueue(rd_kafka_queue_new(raw.pointer), loop)) }
    let list = PartitionList(
      Dictionary(names.map { (KafkaPartition(topic: $0, partition: -1), 0) }, uniquingKeysWith: { $1 }))
    let code = rd_kafka_subscribe(pointer, list.pointer)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code) }
  }

  deinit { chunk.deallocate() }

  /// Of no more use: what is left is to be retired.
  func close() -> RawHandle? {
    main.close()
    for topic in topics { topic.queue.close() }
    return raw.take()
  }

  // MARK: Messages

  /// Copies up to `maximum` messages of a topic out of the library, without waiting.
  /// - Parameter failed: called with what the library tells of a partition and goes on from.
  func take(
    _ topic: Topic, _ maximum: Int, _ reader: MessageReader, into messages: inout [KafkaMessage],
    failed: (KafkaError) -> Void
  ) {
    guard let queue = topic.queue.pointer else { return }
    var left = maximum
    while left > 0 {
      let wanted = min(left, Self.most)
      let count = rd_kafka_consume_batch_queue(queue, 0, chunk, wanted)
      guard count > 0 else { return }
      for case let message? in UnsafeBufferPointer(start: chunk, count: count) {
        defer { rd_kafka_message_destroy(message) }
        guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
          failed(
            KafkaError(
              message.pointee.err, detail: rd_kafka_message_errstr(message).map { String(cString: $0) }))
          continue
        }
        // librdkafka drops what it read before a revocation; this makes sure.
        guard topic.partitions.contains(message.pointee.partition) else { continue }
        messages.append(reader.read(message, of: topic.name))
        left -= 1
      }
      if count < wanted { return }
    }
  }

  // MARK: Partitions

  /// Starts reading at these offsets; negative ones mean the earliest, `nil` those that Kafka has.
  func assign(_ partitions: [KafkaPartition], _ offsets: [KafkaPartition: Int64]?) -> KafkaError? {
    for partition in partitions { forward(partition) }
    let list = PartitionList(
      Dictionary(
        partitions.map { partition in
          guard let offsets else { return (partition, Int64(RD_KAFKA_OFFSET_INVALID)) }
          let offset = offsets[partition] ?? -1
          return (partition, offset < 0 ? Int64(RD_KAFKA_OFFSET_BEGINNING) : offset)
        }, uniquingKeysWith: { $1 }))
    let code = rd_kafka_assign(pointer, list.pointer)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { return KafkaError(code) }
    for topic in topics {
      topic.partitions = Set(partitions.lazy.filter { $0.topic == topic.name }.map(\.partition))
    }
    return nil
  }

  /// Has the partition's messages come to its topic's queue. The library keeps it so: before `assign`, which would
  /// else direct them to the group's.
  private func forward(_ partition: KafkaPartition) {
    guard let topic = topics.first(where: { $0.name == partition.topic }),
      let queue = rd_kafka_queue_get_partition(pointer, partition.topic, partition.partition)
    else { return }
    rd_kafka_queue_forward(queue, topic.queue.pointer)
    rd_kafka_queue_destroy(queue)
  }

  /// Gives all partitions back.
  func unassign() {
    forget()
    rd_kafka_assign(pointer, nil)
  }

  /// Nothing of any partition is handed out any more.
  func forget() { for topic in topics { topic.partitions = [] } }

  /// The session ran out: the partitions are others' already.
  var isAssignmentLost: Bool { rd_kafka_assignment_lost(pointer) != 0 }

  // MARK: Commits

  /// Commits without waiting.
  func commit(_ offsets: [KafkaPartition: Int64]) {
    let list = PartitionList(offsets)
    rd_kafka_commit(pointer, list.pointer, 1)
  }

  /// Commits; the answer is an event that carries the number.
  func commit(_ offsets: [KafkaPartition: Int64], number: Int) -> KafkaError? {
    let list = PartitionList(offsets)
    let code = rd_kafka_commit_queue(
      pointer, list.pointer, main.pointer, nil, UnsafeMutableRawPointer(bitPattern: number))
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code)
  }

  /// The number and the result of such an event.
  static func committed(_ event: OpaquePointer) -> (number: Int, error: KafkaError?) {
    var code = rd_kafka_event_error(event)
    let list = rd_kafka_event_topic_partition_list(event)
    for index in 0..<Int(list?.pointee.cnt ?? 0) where code == RD_KAFKA_RESP_ERR_NO_ERROR {
      code = list?.pointee.elems[index].err ?? code
    }
    return (
      Int(bitPattern: rd_kafka_event_opaque(event)),
      code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code)
    )
  }

  // MARK: Leaving

  /// Begins to leave the group; the last rebalance comes as an event.
  /// - Returns: false if there is nothing to wait for.
  func leave() -> Bool {
    KafkaError(taking: rd_kafka_consumer_close_queue(pointer, main.pointer)) == nil
  }

  /// Whether it has left.
  var hasLeft: Bool { rd_kafka_consumer_closed(pointer) != 0 }
}

extension RawHandle {
  static func consumer(
    _ configuration: KafkaConfiguration, group: String, instanceId: String?, sessionTimeout: Duration,
    fetchWait: Duration
  ) throws(KafkaError) -> RawHandle {
    var settings = [
      "group.id": group,
      // Offsets live with the data: the library neither stores nor commits any by itself.
      "enable.auto.commit": "false", "enable.auto.offset.store": "false", "auto.offset.reset": "earliest",
      // cooperative-sticky aborts the process when a consumer is closed before its first assignment (2.0.2).
      "partition.assignment.strategy": "range",
      "session.timeout.ms": "\(sessionTimeout.milliseconds())", "heartbeat.interval.ms": "500",
      // Long poll: the broker answers at the first byte, or when it has gathered. A partition that was just assigned
      // or sought joins the next fetch only, so the wait without data is the price of each such start.
      "fetch.min.bytes": fetchWait > .zero ? "1000000" : "1",
      "fetch.wait.max.ms": "\(fetchWait > .zero ? fetchWait.milliseconds() : 500)",
      // An error pauses a partition's fetching for so long (the default stalls it 500 ms).
      "fetch.error.backoff.ms": "20",
      // Of each topic's queue.
      "queued.max.messages.kbytes": "16384",
      // A commit that was waiting when the coordinator went away holds up the next assignment until it times out:
      // seen for the whole minute of the default. Nothing that takes longer than the session is of use.
      "socket.timeout.ms": "\(sessionTimeout.milliseconds())",
    ]
    if let instanceId { settings["group.instance.id"] = instanceId }
    return try RawHandle(
      RD_KAFKA_CONSUMER, settings: configuration.settings(settings),
      events: RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR)
  }

  /// Goes on at these offsets; blocks for up to 2 s.
  func seek(_ offsets: [KafkaPartition: Int64]) -> KafkaError? {
    let list = PartitionList(offsets)
    // 2.0.2 takes the remaining milliseconds for microseconds, so this is 2 s. The answers come from the library's
    // own threads, not from the broker: a version that counts right does not wait longer.
    let error = rd_kafka_seek_partitions(pointer, list.pointer, 2_000_000)
    return KafkaError(taking: error) ?? list.firstError
  }
}
