import CRdKafka
import Loop
import Observability

/// A producer's librdkafka handle with what producing one message needs. Confined to the loop.
final class ProducerHandle {
  let events: EventQueue
  private(set) var raw: RawHandle?
  private let pointer: OpaquePointer
  /// By their numbers: looking one up by name for each message costs a lock and a scan.
  private var topics: [OpaquePointer?] = []
  private let units = UnsafeMutablePointer<rd_kafka_vu_t>.allocate(capacity: 6)
  /// Where a key or value of no bytes points: a null pointer would make it a null.
  private let empty = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)

  static func raw(_ configuration: KafkaConfiguration) throws(KafkaError) -> RawHandle {
    let settings = configuration.settings([
      "enable.idempotence": "true", "acks": "all",
      // Less than 300000 lets the idempotent producer give up on a gap and fail for good.
      "message.timeout.ms": "300000",
      "linger.ms": "0", "queue.buffering.max.kbytes": "65536",
      // The same partition for a key as Java's clients choose.
      "partitioner": "murmur2_random",
      "topic.metadata.propagation.max.ms": "10000",
    ])
    return try RawHandle(
      RD_KAFKA_PRODUCER, settings: settings, events: RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR)
  }

  init(_ raw: RawHandle, _ loop: EventLoop) {
    (self.raw, pointer) = (raw, raw.pointer)
    events = EventQueue(rd_kafka_queue_get_main(raw.pointer), loop)
    units.initialize(repeating: rd_kafka_vu_t(), count: 6)
  }

  /// Of no more use: what is left is to be retired.
  func close() -> RawHandle? {
    events.close()
    for case let topic? in topics { rd_kafka_topic_destroy(topic) }
    topics = []
    return raw.take()
  }

  deinit {
    units.deallocate()
    empty.deallocate()
  }

  /// Gives all that was not confirmed back, as failed; the reports come as events.
  func purge() {
    let what = RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING
    rd_kafka_purge(pointer, Int32(what))
  }

  /// For tests: raises a fatal error as the broker's would.
  func raiseFatal() {
    rd_kafka_test_fatal_error(pointer, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "raised by a test")
  }

  /// Hands one message to librdkafka, which copies its bytes.
  func produce(
    _ message: KafkaProducerMessage, topic number: Int, opaque: UnsafeMutableRawPointer
  ) -> rd_kafka_resp_err_t {
    guard let topic = topic(number, message.topic) else { return RD_KAFKA_RESP_ERR__INVALID_ARG }
    let headers = Self.headers(message.headers)
    let code = withBytes(message.key) { key in
      withBytes(message.value) { value in
        set(0, RD_KAFKA_VTYPE_RKT) { $0.rkt = topic }
        set(1, RD_KAFKA_VTYPE_KEY) { $0.mem = key }
        set(2, RD_KAFKA_VTYPE_VALUE) { $0.mem = value }
        set(3, RD_KAFKA_VTYPE_MSGFLAGS) { $0.i = Int32(RD_KAFKA_MSG_F_COPY) }
        set(4, RD_KAFKA_VTYPE_OPAQUE) { $0.ptr = opaque }
        if let headers { set(5, RD_KAFKA_VTYPE_HEADERS) { $0.headers = headers } }
        guard let error = rd_kafka_produceva(pointer, units, headers == nil ? 5 : 6) else {
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

  private func topic(_ number: Int, _ name: String) -> OpaquePointer? {
    while topics.count <= number { topics.append(nil) }
    if topics[number] == nil { topics[number] = rd_kafka_topic_new(pointer, name, nil) }
    return topics[number]
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

  private static func headers(_ headers: KafkaHeaders) -> OpaquePointer? {
    guard !headers.isEmpty, let list = rd_kafka_headers_new(8) else { return nil }
    headers.forEach { name, value in
      let text = name.baseAddress?.assumingMemoryBound(to: CChar.self)
      rd_kafka_header_add(list, text, name.count, value.baseAddress, value.count)
    }
    return list
  }
}
