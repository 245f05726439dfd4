import CRdKafka
import Observability

/// A consumer's librdkafka handle and queues.
///
/// `@unchecked Sendable`: all but `wake` is called by the consumer's one thread only; `wake` touches librdkafka's
/// own locked queue, and is called under the consumer's lock and not after `close`, which alone changes it.
final class ConsumerHandle: @unchecked Sendable {
  let context: HandleContext
  private let raw: RawHandle
  private var queue: OpaquePointer?
  private var replies: OpaquePointer?
  private var reader: MessageReader
  private var isFatal = false

  init(
    _ configuration: KafkaConfiguration, group: String, instanceId: String?, sessionTimeout: Duration,
    gathering: Duration,
    topics: [String], logger: Logger
  ) throws {
    context = HandleContext(logger: logger)
    reader = MessageReader(topics)
    var settings = [
      "group.id": group,
      // Offsets live with the data: the library neither stores nor commits any by itself.
      "enable.auto.commit": "false", "enable.auto.offset.store": "false", "auto.offset.reset": "earliest",
      // cooperative-sticky aborts the process when a consumer is closed before its first assignment (2.0.2).
      "partition.assignment.strategy": "range",
      "session.timeout.ms": "\(sessionTimeout.milliseconds())", "heartbeat.interval.ms": "500",
      // Long poll: the broker answers at the first byte, or when it has gathered. A partition that was just assigned
      // or sought joins the next fetch only, so the wait without data is the price of each such start.
      "fetch.min.bytes": gathering > .zero ? "1000000" : "1",
      "fetch.wait.max.ms": "\(gathering > .zero ? gathering.milliseconds() : 200)",
      // An error pauses a partition's fetching for so long (the default stalls it 500 ms).
      "fetch.error.backoff.ms": "20",
      "queued.max.messages.kbytes": "16384",
      // A commit that was waiting when the coordinator went away holds up the next assignment until it times out:
      // seen for the whole minute of the default. Nothing that takes longer than the session is of use.
      "socket.timeout.ms": "\(sessionTimeout.milliseconds())",
    ]
    if let instanceId { settings["group.instance.id"] = instanceId }
    raw = try RawHandle(
      RD_KAFKA_CONSUMER, settings: configuration.settings(settings), context: context
    ) { conf in
      rd_kafka_conf_set_rebalance_cb(conf) { handle, code, partitions, opaque in
        HandleContext.from(opaque)?.rebalanced?(code, partitions)
        // Otherwise the poll goes on waiting, and the new assignment with it.
        rd_kafka_yield(handle)
      }
    }
    rd_kafka_poll_set_consumer(raw.pointer)
    queue = rd_kafka_queue_get_consumer(raw.pointer)
    replies = rd_kafka_queue_new(raw.pointer)
    let list = PartitionList(
      Dictionary(topics.map { (KafkaPartition(topic: $0, partition: -1), 0) }, uniquingKeysWith: { $1 }))
    let code = rd_kafka_subscribe(raw.pointer, list.pointer)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code) }
  }

  deinit { releaseQueues() }

  /// Ends a wait in `poll`; not to be called after `close`.
  func wake() { if let queue { rd_kafka_queue_yield(queue) } }

  /// The fatal error, if there is one: the handle is of no more use.
  var fatal: KafkaError? { isFatal ? raw.fatal : nil }

  /// What one poll gave.
  enum Polled {
    case message(KafkaMessage, topic: Int)
    /// Something that librdkafka tells and goes on from by itself.
    case notice(KafkaError)
    case nothing
  }

  /// Waits up to `limit` for one message; rebalances happen within.
  func poll(_ limit: Duration) -> Polled {
    guard let message = rd_kafka_consumer_poll(raw.pointer, limit.milliseconds(atMost: 10_000)) else {
      return .nothing
    }
    defer { rd_kafka_message_destroy(message) }
    guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
      if message.pointee.err == RD_KAFKA_RESP_ERR__FATAL { isFatal = true }
      // For errors of the consumer the payload is the library's own text.
      let text = rd_kafka_message_errstr(message).map { String(cString: $0) }
      return .notice(KafkaError(message.pointee.err, detail: text))
    }
    let (read, topic) = reader.read(message)
    return .message(read, topic: topic)
  }

  /// A number for the topic, the same that `poll` gives with its messages.
  func number(of topic: String) -> Int { reader.number(of: topic) }

  /// Starts reading at these offsets; negative ones mean the earliest.
  func assign(_ offsets: [KafkaPartition: Int64]) -> KafkaError? {
    let list = PartitionList(offsets.mapValues { $0 < 0 ? Int64(RD_KAFKA_OFFSET_BEGINNING) : $0 })
    let code = rd_kafka_assign(raw.pointer, list.pointer)
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code)
  }

  /// Gives all partitions back.
  func unassign() { rd_kafka_assign(raw.pointer, nil) }

  /// The session ran out: the partitions are others' already.
  var isAssignmentLost: Bool { rd_kafka_assignment_lost(raw.pointer) != 0 }

  /// Goes on at these offsets; waits up to 2 s.
  func seek(_ offsets: [KafkaPartition: Int64]) -> KafkaError? {
    let list = PartitionList(offsets)
    // 2.0.2 takes the remaining milliseconds for microseconds, so this is 2 s. The answers come from the library's
    // own threads, not from the broker: a version that counts right does not wait longer.
    let error = rd_kafka_seek_partitions(raw.pointer, list.pointer, 2_000_000)
    return KafkaError(taking: error) ?? list.firstError
  }

  /// Commits without waiting.
  func commit(_ offsets: [KafkaPartition: Int64]) {
    let list = PartitionList(offsets)
    rd_kafka_commit(raw.pointer, list.pointer, 1)
  }

  /// Commits; the answer goes to `context.committed` with `number`, within `pollReplies`.
  func commit(_ offsets: [KafkaPartition: Int64], number: Int) -> KafkaError? {
    let list = PartitionList(offsets)
    let code = rd_kafka_commit_queue(
      raw.pointer, list.pointer, replies,
      { handle, code, offsets, opaque in
        var code = code
        for index in 0..<Int(offsets?.pointee.cnt ?? 0) where code == RD_KAFKA_RESP_ERR_NO_ERROR {
          code = offsets?.pointee.elems[index].err ?? code
        }
        HandleContext.of(handle)?.committed?(Int(bitPattern: opaque), code)
      }, UnsafeMutableRawPointer(bitPattern: number))
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code)
  }

  /// Serves answers to commits, waiting up to `limit` for the first.
  func pollReplies(_ limit: Duration) { rd_kafka_queue_poll_callback(replies, limit.milliseconds()) }

  /// Leaves the group, serving the last rebalance, until `end`. Nothing may be called afterwards.
  func close(by end: ContinuousClock.Instant) {
    defer { releaseQueues() }
    guard let closing = rd_kafka_queue_new(raw.pointer) else { return }
    defer { rd_kafka_queue_destroy(closing) }
    guard KafkaError(taking: rd_kafka_consumer_close_queue(raw.pointer, closing)) == nil else { return }
    while rd_kafka_consumer_closed(raw.pointer) == 0, .now < end {
      if let message = rd_kafka_consume_queue(closing, 20) { rd_kafka_message_destroy(message) }
    }
  }

  private func releaseQueues() {
    if let queue { rd_kafka_queue_destroy(queue) }
    if let replies { rd_kafka_queue_destroy(replies) }
    queue = nil
    replies = nil
  }
}
