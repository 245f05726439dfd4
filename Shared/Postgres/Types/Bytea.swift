/// `[UInt8]` is `bytea`: the array of bytes is the one array that is not an SQL array.
extension UInt8: PostgresArrayElement {
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .bytea }
  /// Appends an array.
  public static func encodeArray(_ values: [UInt8], into buffer: inout PostgresBuffer) {
    buffer.append(values)
  }
  /// Reads an array.
  public static func decodeArray(_ cell: PostgresCell) throws -> [UInt8] {
    try cell.withBytes {
      guard cell.type == .bytea else { throw cell.unfitting([UInt8].self) }
      return Array($0)
    }
  }
}

/// `[[UInt8]]` is `bytea[]`.
extension Array: PostgresArrayElement where Element == UInt8 {
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .byteaArray }
}
