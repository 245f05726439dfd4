import CRdKafka
import Observability

/// An admin client's librdkafka handle; its calls block.
///
/// `@unchecked Sendable`: used by the admin client's one thread only, after `init`.
final class AdminHandle: @unchecked Sendable {
  let raw: RawHandle
  /// Partition counts with the time they were read: asking for end offsets should not need two requests.
  private var counts: [String: (count: Int, read: ContinuousClock.Instant)] = [:]

  init(_ configuration: KafkaConfiguration, _ logger: Logger) throws {
    raw = try RawHandle(
      RD_KAFKA_PRODUCER, settings: configuration.settings([:]), context: HandleContext(logger: logger))
  }

  /// Writes the log lines that have come meanwhile.
  func serveLog() { rd_kafka_poll(raw.pointer, 0) }

  /// Topics and their numbers of partitions: all, or one, which a development broker then creates.
  func metadata(_ topic: String?, _ timeout: Duration) throws -> [String: Int] {
    let handle = topic.flatMap { rd_kafka_topic_new(raw.pointer, $0, nil) }
    defer { if let handle { rd_kafka_topic_destroy(handle) } }
    var answer: UnsafePointer<rd_kafka_metadata>?
    let code = rd_kafka_metadata(raw.pointer, topic == nil ? 1 : 0, handle, &answer, timeout.milliseconds())
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let answer else { throw KafkaError(code) }
    defer { rd_kafka_metadata_destroy(answer) }
    var topics: [String: Int] = [:]
    for index in 0..<Int(answer.pointee.topic_cnt) {
      let topic = answer.pointee.topics[index]
      guard topic.err == RD_KAFKA_RESP_ERR_NO_ERROR, let name = topic.topic else { continue }
      topics[String(cString: name)] = Int(topic.partition_cnt)
    }
    return topics
  }

  /// The next offset of every partition. Brokers that are still taking a new topic's partitions up are asked again.
  func endOffsets(_ topic: String, _ timeout: Duration) throws -> [Int32: Int64] {
    let start = ContinuousClock.now
    while true {
      do {
        return try endOffsets(topic, by: start + timeout)
      } catch let error as KafkaError where error.isRetryable {
        counts[topic] = nil
        // A topic that is still unknown after a second is no new one.
        let isUnknown = error.code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART.rawValue
        let patience = isUnknown ? min(timeout, .seconds(1)) : timeout
        guard .now - start + .milliseconds(25) < patience else { throw error }
        Signal().wait(.milliseconds(25))
      }
    }
  }

  /// One request to each broker for all partitions, not two for each partition as the watermark calls make.
  private func endOffsets(_ topic: String, by end: ContinuousClock.Instant) throws -> [Int32: Int64] {
    let count = try partitionCount(topic, end - .now)
    let partitions = (0..<count).map { KafkaPartition(topic: topic, partition: Int32($0)) }
    // Kafka's protocol gives the end for the timestamp -1.
    let list = PartitionList(Dictionary(partitions.map { ($0, -1) }, uniquingKeysWith: { $1 }))
    let code = rd_kafka_offsets_for_times(raw.pointer, list.pointer, (end - .now).milliseconds())
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code) }
    if let error = list.firstError { throw error }
    return Dictionary(
      PartitionList.read(list.pointer).map { ($0.key.partition, $0.value) }, uniquingKeysWith: { $1 })
  }

  private func partitionCount(_ topic: String, _ timeout: Duration) throws -> Int {
    if let known = counts[topic], ContinuousClock.now - known.read < .seconds(10) { return known.count }
    guard let count = try metadata(nil, timeout)[topic] else {
      throw KafkaError(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    }
    counts[topic] = (count, .now)
    return count
  }

  /// Makes an admin request and waits for its answer, on a queue of its own: a late answer to an earlier request
  /// must not be taken for this one's.
  func ask<R>(
    _ kind: rd_kafka_admin_op_t, _ timeout: Duration,
    _ request: (_ options: OpaquePointer?, _ queue: OpaquePointer?) -> Void, read: (OpaquePointer) throws -> R
  ) throws -> R {
    let options = rd_kafka_AdminOptions_new(raw.pointer, kind)
    defer { rd_kafka_AdminOptions_destroy(options) }
    var reason = [CChar](repeating: 0, count: 128)
    rd_kafka_AdminOptions_set_request_timeout(options, timeout.milliseconds(), &reason, reason.count)
    let queue = rd_kafka_queue_new(raw.pointer)
    defer { rd_kafka_queue_destroy(queue) }
    request(options, queue)
    guard let event = rd_kafka_queue_poll(queue, (timeout + .seconds(1)).milliseconds()) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT)
    }
    defer { rd_kafka_event_destroy(event) }
    let code = rd_kafka_event_error(event)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw KafkaError(code, detail: rd_kafka_event_error_string(event).map { String(cString: $0) })
    }
    return try read(event)
  }
}
