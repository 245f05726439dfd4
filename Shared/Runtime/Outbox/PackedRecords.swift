import FoundationEssentials
import Wire

/// All records of one transaction in the bytes of one outbox row.
///
/// One after the other: topic, key, type, payload, traceparent, each as a length (32 bits, big endian; -1: there is none)
/// and its UTF-8 bytes.
struct PackedRecords: Sendable {
  /// What the row holds.
  private(set) var bytes: [UInt8] = []

  init(_ events: [Event]) {
    bytes.reserveCapacity(events.reduce(0) { $0 + 160 + ($1.payload?.count ?? 0) })
    for event in events { append(event) }
  }

  private mutating func append(_ event: Event) {
    append(event.topic.rawValue)
    append(event.key)
    append(event.type)
    if let payload = event.payload {
      append(length: payload.count)
      bytes.append(contentsOf: payload)
    } else {
      append(length: -1)
    }
    if let traceparent = event.traceparent { append(traceparent) } else { append(length: -1) }
  }

  private mutating func append(_ text: String) {
    append(length: text.utf8.count)
    bytes.append(contentsOf: text.utf8)
  }

  private mutating func append(length: Int) {
    withUnsafeBytes(of: Int32(truncatingIfNeeded: length).bigEndian) { bytes.append(contentsOf: $0) }
  }

  /// Reads a row: its records in order, nil for one whose topic only a newer version knows.
  /// - Throws: `UnreadableRow` for bytes that nobody packed.
  static func unpack(_ bytes: [UInt8]) throws(UnreadableRow) -> [Event?] {
    var reader = Reader(bytes: bytes)
    var events: [Event?] = []
    while !reader.isAtEnd {
      let topic = try reader.text() ?? ""
      let (key, type) = (try reader.text() ?? "", try reader.text() ?? "")
      let (payload, traceparent) = (try reader.field().map { Array($0) }, try reader.text())
      events.append(
        KafkaTopic(rawValue: topic).map {
          Event(topic: $0, key: key, type: type, payload: payload, traceparent: traceparent)
        })
    }
    return events
  }

  private struct Reader {
    let bytes: [UInt8]
    var position = 0
    var isAtEnd: Bool { position == bytes.count }

    mutating func field() throws(UnreadableRow) -> ArraySlice<UInt8>? {
      guard position + 4 <= bytes.count else { throw UnreadableRow() }
      let bits = bytes[position..<position + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      position += 4
      let length = Int(Int32(bitPattern: bits))
      if length == -1 { return nil }
      guard length >= 0, position + length <= bytes.count else { throw UnreadableRow() }
      defer { position += length }
      return bytes[position..<position + length]
    }

    mutating func text() throws(UnreadableRow) -> String? {
      try field().map { String(decoding: $0, as: UTF8.self) }
    }
  }
}

/// An outbox row that nobody has packed.
struct UnreadableRow: Error, CustomStringConvertible {
  var description: String { "the row's bytes are no packed records" }
}
