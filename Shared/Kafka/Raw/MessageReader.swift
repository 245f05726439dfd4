import CRdKafka
import Glibc

/// Copies librdkafka's messages into values, with the headers that are wanted.
struct MessageReader {
  /// `nil`: all.
  private let wanted: [(name: String, bytes: ContiguousArray<CChar>)]?

  /// - Parameter headers: the names of those that are read; `nil` for all.
  init(headers: [String]?) { wanted = headers?.map { ($0, $0.utf8CString) } }

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

  private func headers(_ message: UnsafeMutablePointer<rd_kafka_message_t>) -> [KafkaHeader] {
    var list: OpaquePointer?
    // The library reads them for this call only.
    guard wanted?.isEmpty != true,
      rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list
    else { return [] }
    let count = rd_kafka_header_cnt(list)
    var headers: [KafkaHeader] = []
    headers.reserveCapacity(min(count, wanted?.count ?? count))
    for index in 0..<count {
      var name: UnsafePointer<CChar>?
      var value: UnsafeRawPointer?
      var size = 0
      guard
        rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR,
        let name
      else { break }
      if let name = self.name(name) { headers.append(KafkaHeader(name, Self.copy(value, size) ?? [])) }
    }
    return headers
  }

  /// The name, if it is wanted.
  private func name(_ bytes: UnsafePointer<CChar>) -> String? {
    guard let wanted else { return String(cString: bytes) }
    for (name, own) in wanted
    where own.withUnsafeBufferPointer({ $0.baseAddress.map { strcmp($0, bytes) == 0 } ?? false }) {
      return name
    }
    return nil
  }
}
