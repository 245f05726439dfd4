/// `[UInt8]` is `bytea`: the array of bytes is the one array that is not an SQL array.
extension UInt8: PostgresArrayElement {
  public static var postgresArrayType: PostgresType { .bytea }
  public static func encodeArray(_ values: [UInt8], into buffer: inout PostgresBuffer) {
    buffer.append(values)
  }
  public static func decodeArray(_ cell: PostgresCell) throws -> [UInt8] {
    try cell.withBytes {
      guard cell.type == .bytea else { throw cell.unfitting([UInt8].self) }
      return Array($0)
    }
  }
}

/// `[[UInt8]]` is `bytea[]`.
extension Array: PostgresArrayElement where Element == UInt8 {
  public static var postgresArrayType: PostgresType { .byteaArray }
}
