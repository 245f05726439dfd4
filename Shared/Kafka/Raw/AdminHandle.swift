import CRdKafka
import Glibc
import Observability

/// An admin client's librdkafka handle, for one call; its calls block.
struct AdminHandle {
  let raw: RawHandle

  init(_ configuration: KafkaConfiguration) throws(KafkaError) {
    raw = try RawHandle(RD_KAFKA_PRODUCER, settings: configuration.settings([:]))
  }

  /// Writes the log lines that have come.
  func serveLog(_ logger: Logger) {
    let main = rd_kafka_queue_get_main(raw.pointer)
    defer { rd_kafka_queue_destroy(main) }
    while let event = rd_kafka_queue_poll(main, 0) {
      logger.library(event)
      rd_kafka_event_destroy(event)
    }
  }

  /// Makes an admin request and waits for its answer.
  private func ask<R>(
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
    guard rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(admin: event) }
    return try read(event)
  }

  /// The offsets that a group has committed.
  func committed(
    _ group: String, _ partitions: [KafkaPartition], _ timeout: Duration
  ) throws -> [KafkaPartition: Int64] {
    let list = PartitionList(Dictionary(partitions.map { ($0, -1) }, uniquingKeysWith: { $1 }))
    guard let request = rd_kafka_ListConsumerGroupOffsets_new(group, list.pointer) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG)
    }
    var requests: [OpaquePointer?] = [request]
    defer { rd_kafka_ListConsumerGroupOffsets_destroy(request) }
    return try ask(
      RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout,
      { rd_kafka_ListConsumerGroupOffsets(raw.pointer, &requests, 1, $0, $1) }
    ) { event in
      var count = 0
      let answer = rd_kafka_event_ListConsumerGroupOffsets_result(event)
      guard let groups = rd_kafka_ListConsumerGroupOffsets_result_groups(answer, &count), count > 0 else {
        return [:]
      }
      if let error = rd_kafka_group_result_error(groups[0]) {
        throw KafkaError(rd_kafka_error_code(error))
      }
      return PartitionList.read(rd_kafka_group_result_partitions(groups[0])).filter { $0.value >= 0 }
    }
  }
}

// Topics.
extension AdminHandle {
  /// Creates topics; those that exist are left as they are.
  func createTopics(_ topics: [KafkaNewTopic], _ timeout: Duration) throws {
    // Asked first: a service that starts again needs no controller.
    let existing = try raw.metadata(nil, timeout)
    let missing = topics.filter { existing[$0.name] == nil }
    guard !missing.isEmpty else { return }
    if isMockCluster(timeout) {
      // It has no controller; asking for a topic creates it.
      for topic in missing { _ = try raw.metadata(topic.name, timeout) }
      return
    }
    var wanted: [OpaquePointer?] = []
    defer { for topic in wanted { rd_kafka_NewTopic_destroy(topic) } }
    for topic in missing { wanted.append(try Self.newTopic(topic)) }
    try ask(
      RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout,
      { rd_kafka_CreateTopics(raw.pointer, &wanted, wanted.count, $0, $1) }, read: Self.check)
    try awaitTopics(missing, .now + timeout)
  }

  /// Brokers hear of a new topic a little after the controller has answered. On a helper thread, which may block.
  private func awaitTopics(_ topics: [KafkaNewTopic], _ end: ContinuousClock.Instant) throws {
    while true {
      let existing = try raw.metadata(nil, end - .now)
      guard topics.contains(where: { existing[$0.name] == nil }), .now < end else { return }
      // Nobody tells of it: it is asked for again.
      usleep(25_000)
    }
  }

  private func isMockCluster(_ timeout: Duration) -> Bool {
    guard let id = rd_kafka_clusterid(raw.pointer, timeout.milliseconds()) else { return false }
    defer { rd_kafka_mem_free(raw.pointer, id) }
    return String(cString: id).hasPrefix("mockCluster")
  }

  private static func newTopic(_ topic: KafkaNewTopic) throws -> OpaquePointer {
    var reason = [CChar](repeating: 0, count: 256)
    let new = rd_kafka_NewTopic_new(
      topic.name, Int32(clamping: topic.partitions), Int32(clamping: topic.replication), &reason, reason.count
    )
    guard let new else {
      throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, detail: "the topic \(topic.name) is not valid")
    }
    for (name, value) in topic.config { rd_kafka_NewTopic_set_config(new, name, value) }
    return new
  }

  private static func check(_ event: OpaquePointer) throws {
    var count = 0
    guard let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
    else { return }
    for index in 0..<count {
      let code = rd_kafka_topic_result_error(results[index])
      guard code != RD_KAFKA_RESP_ERR_NO_ERROR, code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS else {
        continue
      }
      let detail = rd_kafka_topic_result_error_string(results[index]).map { String(cString: $0) }
      throw KafkaError(code, detail: detail)
    }
  }
}

extension KafkaError {
  /// The error of a failed admin request.
  fileprivate init(admin event: OpaquePointer) {
    self.init(
      rd_kafka_event_error(event), detail: rd_kafka_event_error_string(event).map { String(cString: $0) })
  }
}
