/// Bytes that binds are encoded into, one after the other: one piece of memory for a whole statement.
public struct PostgresBuffer: Sendable {
  var bytes: [UInt8] = []

  /// Appends an integer in network order.
  public mutating func append<I: FixedWidthInteger>(_ value: I) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }

  /// Appends bytes as they are.
  public mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

  /// Appends bytes as they are.
  public mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }

  /// Appends a text's UTF-8.
  public mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { bytes.append(contentsOf: $0) }
  }

  /// Makes sure of room for `count` more bytes, growing at least by half so that many calls stay cheap.
  mutating func reserve(_ count: Int) {
    let needed = bytes.count + count
    if needed > bytes.capacity { bytes.reserveCapacity(max(needed, bytes.capacity + bytes.capacity / 2)) }
  }

  /// Appends `encode`'s bytes behind their length, or the mark of null if it gives false.
  mutating func appendLengthPrefixed(_ encode: (inout PostgresBuffer) -> Bool) -> Bool {
    let start = bytes.count
    append(Int32(0))
    guard encode(&self) else {
      patch(-1, at: start)
      return false
    }
    patch(Int32(clamping: bytes.count - start - 4), at: start)
    return true
  }

  mutating func patch(_ value: Int32, at offset: Int) {
    let value = UInt32(bitPattern: value)
    bytes[offset] = UInt8(truncatingIfNeeded: value >> 24)
    bytes[offset + 1] = UInt8(truncatingIfNeeded: value >> 16)
    bytes[offset + 2] = UInt8(truncatingIfNeeded: value >> 8)
    bytes[offset + 3] = UInt8(truncatingIfNeeded: value)
  }
}

/// A statement's parameters: their types, and their binary forms in one buffer.
struct PostgresBinds: Sendable {
  struct Cell: Sendable {
    var offset: Int
    /// -1 for null.
    var length: Int
  }

  private(set) var buffer = PostgresBuffer()
  private(set) var cells: [Cell] = []
  private(set) var types: [UInt32] = []

  mutating func append<T: PostgresEncodable>(_ value: T) {
    let offset = buffer.bytes.count
    let isValue = value.encode(into: &buffer)
    cells.append(Cell(offset: offset, length: isValue ? buffer.bytes.count - offset : -1))
    types.append(T.postgresType.rawValue)
  }
}
