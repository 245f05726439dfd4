/// A value that can be bound to a statement.
public protocol PostgresEncodable: Sendable {
  /// The type that the bind is declared as.
  static var postgresType: PostgresType { get }
  /// Appends the value's binary form; false, with nothing appended, means null.
  func encode(into buffer: inout PostgresBuffer) -> Bool
}

/// A value that can be read from a cell.
public protocol PostgresDecodable: Sendable {
  /// Reads a cell.
  /// - Throws: `PostgresError` of kind `.decoding` if the cell is null or of an unfitting type.
  init(postgres cell: PostgresCell) throws
}

/// A value that goes both ways.
public typealias PostgresCodable = PostgresEncodable & PostgresDecodable

/// What an array may hold, so that `[Self]` is one bind.
public protocol PostgresArrayElement: Sendable {
  /// The type that a bind of `[Self]` is declared as.
  static var postgresArrayType: PostgresType { get }
  /// Appends the binary form of an array.
  static func encodeArray(_ values: [Self], into buffer: inout PostgresBuffer)
  /// Reads an array.
  static func decodeArray(_ cell: PostgresCell) throws -> [Self]
}

extension PostgresArrayElement where Self: PostgresCodable {
  /// One dimension, lower bound 1, elements in the binary form that they have alone.
  public static func encodeArray(_ values: [Self], into buffer: inout PostgresBuffer) {
    buffer.reserve(20 + values.count * 24)
    buffer.append(Int32(values.isEmpty ? 0 : 1))
    let flag = buffer.bytes.count
    buffer.append(Int32(0))
    buffer.append(postgresType.rawValue)
    if values.isEmpty { return }
    buffer.append(Int32(clamping: values.count))
    buffer.append(Int32(1))
    var hasNull = false
    for value in values where !buffer.appendLengthPrefixed({ value.encode(into: &$0) }) { hasNull = true }
    if hasNull { buffer.patch(1, at: flag) }
  }

  /// One dimension, any lower bound.
  public static func decodeArray(_ cell: PostgresCell) throws -> [Self] {
    try cell.withBytes { bytes in
      var reader = ByteReader(bytes, cell)
      let dimensions = try reader.integer(Int32.self)
      _ = try reader.integer(Int32.self)
      let element = try reader.integer(UInt32.self)
      if dimensions == 0 { return [] }
      guard dimensions == 1 else { throw cell.fault("has \(dimensions) dimensions") }
      let count = Int(try reader.integer(Int32.self))
      _ = try reader.integer(Int32.self)
      guard count >= 0 else { throw cell.fault("is no array") }
      var values: [Self] = []
      values.reserveCapacity(min(count, bytes.count / 4))
      for _ in 0..<count {
        let length = Int(try reader.integer(Int32.self))
        let part = length < 0 ? nil : try reader.take(length)
        values.append(try Self(postgres: cell.element(part, PostgresType(rawValue: element))))
      }
      return values
    }
  }
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { Element.postgresArrayType }
  /// Appends the binary form; false for null.
  public func encode(into buffer: inout PostgresBuffer) -> Bool {
    Element.encodeArray(self, into: &buffer)
    return true
  }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
  /// Reads an array.
  public init(postgres cell: PostgresCell) throws { self = try Element.decodeArray(cell) }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
  /// The type of the bind.
  public static var postgresType: PostgresType { Wrapped.postgresType }
  /// Appends the binary form; false for null.
  public func encode(into buffer: inout PostgresBuffer) -> Bool { self?.encode(into: &buffer) ?? false }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
  /// Reads a cell.
  public init(postgres cell: PostgresCell) throws { self = cell.isNull ? nil : try Wrapped(postgres: cell) }
}

extension Optional: PostgresArrayElement where Wrapped: PostgresArrayElement & PostgresCodable {
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { Wrapped.postgresArrayType }
}

// Own types over a raw value need no more than the conformance's name.

extension RawRepresentable where Self: PostgresEncodable, RawValue: PostgresEncodable {
  /// The raw value's type.
  public static var postgresType: PostgresType { RawValue.postgresType }
  /// Appends the raw value.
  public func encode(into buffer: inout PostgresBuffer) -> Bool { rawValue.encode(into: &buffer) }
}

extension RawRepresentable where Self: PostgresDecodable, RawValue: PostgresDecodable {
  /// Reads the raw value; one that the type does not know is a `.decoding` error.
  public init(postgres cell: PostgresCell) throws {
    guard let value = Self(rawValue: try RawValue(postgres: cell)) else {
      throw cell.fault("holds an unknown value")
    }
    self = value
  }
}

extension RawRepresentable where Self: PostgresArrayElement, RawValue: PostgresArrayElement {
  /// The raw values' array type.
  public static var postgresArrayType: PostgresType { RawValue.postgresArrayType }
}
