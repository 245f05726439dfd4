import CRdKafka
import Glibc

/// Copies librdkafka's messages into values, with the headers that are wanted.
struct MessageReader {
  /// `nil`: all.
  private let wanted: [ContiguousArray<CChar>]?

  /// - Parameter headers: the names of those that are read; `nil` for all.
  init(headers: [String]?) { wanted = headers?.map(\.utf8CString) }

  /// A message of that topic.
  func read(_ message: UnsafeMutablePointer<rd_kafka_message_t>, of topic: String) -> KafkaMessage {
    let raw = message.pointee
    return KafkaMessage(
      topic: topic, partition: raw.partition, offset: raw.offset, key: Self.copy(raw.key, raw.key_len),
      value: Self.copy(raw.payload, raw.len), headers: headers(message),
      timestamp: rd_kafka_message_timestamp(message, nil))
  }

  private static func copy(_ pointer: UnsafeRawPointer?, _ count: Int) -> [UInt8]? {
    pointer.map { Array(UnsafeRawBufferPointer(start: $0, count: count)) }
  }

  private func headers(_ message: UnsafeMutablePointer<rd_kafka_message_t>) -> KafkaHeaders {
    var headers = KafkaHeaders()
    var list: OpaquePointer?
    // The library reads them for this call only.
    guard wanted?.isEmpty != true,
      rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list
    else { return headers }
    headers.reserve(128)
    var index = 0
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var size = 0
    while rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR,
      let own = name
    {
      index += 1
      guard isWanted(own) else { continue }
      headers.append(
        UnsafeRawBufferPointer(start: own, count: strlen(own)),
        UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : size))
    }
    return headers
  }

  private func isWanted(_ name: UnsafePointer<CChar>) -> Bool {
    wanted?.contains { own in
      own.withUnsafeBufferPointer { $0.baseAddress.map { strcmp($0, name) == 0 } ?? false }
    } ?? true
  }
}
