import CRdKafka
import Glibc

/// Copies librdkafka's messages into values. It knows topics by number, so that reading one makes no new string.
struct MessageReader {
  private var names: [String]
  private var bytes: [ContiguousArray<CChar>]

  init(_ topics: [String]) {
    names = topics
    bytes = topics.map(\.utf8CString)
  }

  /// The number of a topic; one that was not subscribed to by that name gets the next.
  mutating func number(of topic: String) -> Int {
    if let index = names.firstIndex(of: topic) { return index }
    names.append(topic)
    bytes.append(topic.utf8CString)
    return names.count - 1
  }

  /// The message and its topic's number.
  mutating func read(_ message: UnsafePointer<rd_kafka_message_t>) -> (KafkaMessage, topic: Int) {
    let raw = message.pointee
    let topic = number(raw.rkt.flatMap { rd_kafka_topic_name($0) })
    let read = KafkaMessage(
      topic: names[topic], partition: raw.partition, offset: raw.offset,
      key: Self.copy(raw.key, raw.key_len), value: Self.copy(raw.payload, raw.len),
      headers: Self.headers(message), timestamp: rd_kafka_message_timestamp(message, nil))
    return (read, topic)
  }

  private mutating func number(_ name: UnsafePointer<CChar>?) -> Int {
    guard let name else { return number(of: "") }
    for index in bytes.indices
    where bytes[index].withUnsafeBufferPointer({ Self.isSame($0.baseAddress, name) }) {
      return index
    }
    return number(of: String(cString: name))
  }

  private static func isSame(_ a: UnsafePointer<CChar>?, _ b: UnsafePointer<CChar>) -> Bool {
    a.map { strcmp($0, b) == 0 } ?? false
  }

  private static func copy(_ pointer: UnsafeRawPointer?, _ count: Int) -> [UInt8]? {
    pointer.map { Array(UnsafeRawBufferPointer(start: $0, count: count)) }
  }

  private static func headers(_ message: UnsafePointer<rd_kafka_message_t>) -> [KafkaHeader] {
    var list: OpaquePointer?
    guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return [] }
    let count = rd_kafka_header_cnt(list)
    var headers: [KafkaHeader] = []
    headers.reserveCapacity(count)
    for index in 0..<count {
      var name: UnsafePointer<CChar>?
      var value: UnsafeRawPointer?
      var size = 0
      guard
        rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR,
        let name
      else { break }
      headers.append(KafkaHeader(String(cString: name), copy(value, size) ?? []))
    }
    return headers
  }
}
