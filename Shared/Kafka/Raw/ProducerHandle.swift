import CRdKafka
import Observability

/// A producer's librdkafka handle with what producing one message needs.
///
/// `@unchecked Sendable`: `produce` is called under the producer's lock only, `poll` and `purge` by its one thread;
/// librdkafka itself allows both at the same time, and `queued` from anywhere.
final class ProducerHandle: @unchecked Sendable {
  private let raw: RawHandle
  private let main: OpaquePointer?
  private var topics: [String: OpaquePointer] = [:]
  private var last: (name: String, topic: OpaquePointer)?
  private let units = UnsafeMutablePointer<rd_kafka_vu_t>.allocate(capacity: 6)
  /// Where a key or value of no bytes points: a null pointer would make it a null.
  private let empty = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)

  init(_ configuration: KafkaConfiguration, _ logger: Logger) throws {
    let settings = configuration.settings([
      "enable.idempotence": "true", "acks": "all",
      // Less than 300000 lets the idempotent producer give up on a gap and fail for good.
      "message.timeout.ms": "300000",
      "linger.ms": "0", "queue.buffering.max.kbytes": "65536",
      // The same partition for a key as Java's clients choose.
      "partitioner": "murmur2_random",
      "topic.metadata.propagation.max.ms": "10000",
    ])
    raw = try RawHandle(RD_KAFKA_PRODUCER, settings: settings, context: HandleContext(logger: logger)) {
      conf in
      rd_kafka_conf_set_dr_msg_cb(conf) { _, message, _ in
        if let message { DeliveryBatch.report(message.pointee) }
      }
    }
    main = rd_kafka_queue_get_main(raw.pointer)
    units.initialize(repeating: rd_kafka_vu_t(), count: 6)
  }

  deinit {
    for topic in topics.values { rd_kafka_topic_destroy(topic) }
    if let main { rd_kafka_queue_destroy(main) }
    units.deallocate()
    empty.deallocate()
  }

  /// The idempotent producer has given up: nothing more is taken or sent.
  var isFatal: Bool { raw.context.isFatal }

  /// Messages and reports that librdkafka holds.
  var queued: Int32 { rd_kafka_outq_len(raw.pointer) }

  /// Serves delivery reports, waiting up to `limit` for the first.
  func poll(_ limit: Duration) { rd_kafka_poll(raw.pointer, limit.milliseconds(atMost: 1000)) }

  /// Ends a wait in `poll`.
  func wake() { if let main { rd_kafka_queue_yield(main) } }

  /// Gives all that was not confirmed back, as failed.
  func purge() { rd_kafka_purge(raw.pointer, Int32(RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)) }

  /// The fatal error, for the log.
  var fatal: KafkaError? { raw.fatal }

  /// For tests: raises a fatal error as the broker's would.
  func raiseFatal() {
    rd_kafka_test_fatal_error(raw.pointer, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "raised by a test")
  }

  /// Hands one message to librdkafka, which copies its bytes.
  func produce(_ message: KafkaProducerMessage, opaque: UnsafeMutableRawPointer) -> rd_kafka_resp_err_t {
    guard let topic = topic(message.topic) else { return RD_KAFKA_RESP_ERR__INVALID_ARG }
    let headers = Self.headers(message.headers)
    let code = withBytes(message.key) { key in
      withBytes(message.value) { value in
        set(0, RD_KAFKA_VTYPE_RKT) { $0.rkt = topic }
        set(1, RD_KAFKA_VTYPE_KEY) { $0.mem = key }
        set(2, RD_KAFKA_VTYPE_VALUE) { $0.mem = value }
        set(3, RD_KAFKA_VTYPE_MSGFLAGS) { $0.i = Int32(RD_KAFKA_MSG_F_COPY) }
        set(4, RD_KAFKA_VTYPE_OPAQUE) { $0.ptr = opaque }
        if let headers { set(5, RD_KAFKA_VTYPE_HEADERS) { $0.headers = headers } }
        guard let error = rd_kafka_produceva(raw.pointer, units, headers == nil ? 5 : 6) else {
          return RD_KAFKA_RESP_ERR_NO_ERROR
        }
        defer { rd_kafka_error_destroy(error) }
        // It carries the code of what made it fatal, not that it is.
        return rd_kafka_error_is_fatal(error) != 0 ? RD_KAFKA_RESP_ERR__FATAL : rd_kafka_error_code(error)
      }
    }
    // librdkafka owns the headers of a message that it took, we those of one that it refused.
    if code != RD_KAFKA_RESP_ERR_NO_ERROR, let headers { rd_kafka_headers_destroy(headers) }
    return code
  }

  private func set(
    _ index: Int, _ type: rd_kafka_vtype_t, _ fill: (inout rd_kafka_vu_s.__Unnamed_union_u) -> Void
  ) {
    units[index].vtype = type
    fill(&units[index].u)
  }

  /// Handles of topics are kept: looking one up by name for each message costs a lock and a scan.
  private func topic(_ name: String) -> OpaquePointer? {
    if let last, last.name == name { return last.topic }
    guard let topic = topics[name] ?? rd_kafka_topic_new(raw.pointer, name, nil) else { return nil }
    topics[name] = topic
    last = (name, topic)
    return topic
  }

  private func withBytes<R>(
    _ bytes: [UInt8]?, _ body: (rd_kafka_vu_s.__Unnamed_union_u.__Unnamed_struct_mem) -> R
  ) -> R {
    guard let bytes else { return body(.init(ptr: nil, size: 0)) }
    guard !bytes.isEmpty else { return body(.init(ptr: empty, size: 0)) }
    return bytes.withUnsafeBytes {
      body(.init(ptr: UnsafeMutableRawPointer(mutating: $0.baseAddress), size: $0.count))
    }
  }

  private static func headers(_ headers: [KafkaHeader]) -> OpaquePointer? {
    guard !headers.isEmpty, let list = rd_kafka_headers_new(headers.count) else { return nil }
    for header in headers {
      _ = header.value.withUnsafeBytes { bytes in
        rd_kafka_header_add(list, header.name, -1, bytes.baseAddress, bytes.count)
      }
    }
    return list
  }
}
