import FoundationEssentials

extension Bool: PostgresCodable, PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { .bool }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .boolArray }
  /// Appends the binary form; false for null.
  public func encode(into buffer: inout PostgresBuffer) -> Bool {
    buffer.append(UInt8(self ? 1 : 0))
    return true
  }
  /// Reads a cell.
  public init(postgres cell: PostgresCell) throws {
    self = try cell.withBytes {
      guard cell.type == .bool, $0.count == 1 else { throw cell.unfitting(Bool.self) }
      return $0[0] != 0
    }
  }
}

/// Integers are read from any integer type, and from `numeric` (what `sum` gives), that holds a fitting value.
extension FixedWidthInteger where Self: PostgresCodable {
  /// Appends the binary form; false for null.
  public func encode(into buffer: inout PostgresBuffer) -> Bool {
    buffer.append(self)
    return true
  }
  /// Reads a cell.
  public init(postgres cell: PostgresCell) throws {
    let wide: Int64 = try cell.withBytes { bytes in
      var reader = ByteReader(bytes, cell)
      switch cell.type {
      case .int8: return try reader.integer(Int64.self)
      case .int4: return Int64(try reader.integer(Int32.self))
      case .int2: return Int64(try reader.integer(Int16.self))
      case .numeric:
        guard let whole = try Numeric(&reader).whole else {
          throw cell.fault("does not fit into \(Self.self)")
        }
        return whole
      default: throw cell.unfitting(Self.self)
      }
    }
    guard let value = Self(exactly: wide) else { throw cell.fault("does not fit into \(Self.self)") }
    self = value
  }
}

extension Int16: PostgresCodable, PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { .int2 }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .int2Array }
}

extension Int32: PostgresCodable, PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { .int4 }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .int4Array }
}

extension Int64: PostgresCodable, PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { .int8 }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .int8Array }
}

extension Int: PostgresCodable, PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { .int8 }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .int8Array }
}

extension Double: PostgresCodable, PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { .float8 }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .float8Array }
  /// Appends the binary form; false for null.
  public func encode(into buffer: inout PostgresBuffer) -> Bool {
    buffer.append(bitPattern)
    return true
  }
  /// Reads a cell.
  public init(postgres cell: PostgresCell) throws {
    self = try cell.withBytes { bytes in
      var reader = ByteReader(bytes, cell)
      switch cell.type {
      case .float8: return Double(bitPattern: try reader.integer(UInt64.self))
      case .numeric: return try Numeric(&reader).approximate
      case .float4: return Double(Float(bitPattern: try reader.integer(UInt32.self)))
      default: throw cell.unfitting(Double.self)
      }
    }
  }
}

/// The binary form of `numeric`: digits to the base 10,000, the first worth 10,000 to the power of `weight`.
private struct Numeric {
  let weight: Int
  let sign: UInt16
  var digits: [Int16] = []

  init(_ reader: inout ByteReader) throws {
    let count = Int(try reader.integer(UInt16.self))
    weight = Int(try reader.integer(Int16.self))
    sign = try reader.integer(UInt16.self)
    _ = try reader.integer(UInt16.self)
    for _ in 0..<count { digits.append(try reader.integer(Int16.self)) }
  }

  private var isFinite: Bool { sign == 0 || sign == 0x4000 }

  /// The nearest `Double`; NaN for what is no finite number.
  var approximate: Double {
    guard isFinite else { return .nan }
    var value = 0.0
    for (index, digit) in digits.enumerated() {
      var part = Double(digit)
      for _ in 0..<abs(weight - index) { part = weight > index ? part * 10_000 : part / 10_000 }
      value += part
    }
    return sign == 0 ? value : -value
  }

  /// The value if it is whole and fits; nil if not.
  var whole: Int64? {
    guard isFinite, digits.count <= weight + 1 || digits.isEmpty else { return nil }
    var value: Int64 = 0
    for index in 0..<(digits.isEmpty ? 0 : weight + 1) {
      let (product, tooBig) = value.multipliedReportingOverflow(by: 10_000)
      let digit = index < digits.count ? Int64(digits[index]) : 0
      let (sum, over) = product.addingReportingOverflow(sign == 0 ? digit : -digit)
      if tooBig || over { return nil }
      value = sum
    }
    return value
  }
}

extension String: PostgresCodable, PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { .text }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .textArray }
  /// Appends the binary form; false for null.
  public func encode(into buffer: inout PostgresBuffer) -> Bool {
    buffer.append(self)
    return true
  }
  /// From text, varchar, char, name, json, jsonb and enums.
  public init(postgres cell: PostgresCell) throws {
    self = try cell.withBytes { bytes in
      guard cell.type != .jsonb else { return try PostgresJSON(postgres: cell).text }
      guard cell.type.isTextual else { throw cell.unfitting(String.self) }
      guard let text = String(validating: bytes, as: UTF8.self) else { throw cell.fault("is not UTF-8") }
      return text
    }
  }
}

extension UUID: PostgresCodable, PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { .uuid }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .uuidArray }
  /// Appends the binary form; false for null.
  public func encode(into buffer: inout PostgresBuffer) -> Bool {
    withUnsafeBytes(of: uuid) { buffer.append($0) }
    return true
  }
  /// Reads a cell.
  public init(postgres cell: PostgresCell) throws {
    self = try cell.withBytes {
      guard cell.type == .uuid, $0.count == 16 else { throw cell.unfitting(UUID.self) }
      return UUID(uuid: $0.loadUnaligned(as: uuid_t.self))
    }
  }
}

/// Whole microseconds, as the server keeps them; ±infinity is `Date`'s distant past and future.
extension Date: PostgresCodable, PostgresArrayElement {
  /// The type of the bind.
  public static var postgresType: PostgresType { .timestamptz }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .timestamptzArray }
  /// From 2000-01-01 (PostgreSQL's zero) to 2001-01-01 (Swift's), in seconds.
  private static let zeroDistance: Double = 31_622_400

  /// Appends the binary form; false for null.
  public func encode(into buffer: inout PostgresBuffer) -> Bool {
    let microseconds = ((timeIntervalSinceReferenceDate + Self.zeroDistance) * 1e6).rounded()
    if self == .distantFuture || microseconds >= 9.2e18 {
      buffer.append(Int64.max)
    } else if self == .distantPast || !(microseconds > -9.2e18) {
      buffer.append(Int64.min)
    } else {
      buffer.append(Int64(microseconds))
    }
    return true
  }
  /// From timestamptz, timestamp (taken as UTC) and date.
  public init(postgres cell: PostgresCell) throws {
    self = try cell.withBytes { bytes in
      var reader = ByteReader(bytes, cell)
      switch cell.type {
      case .timestamptz, .timestamp:
        let value = try reader.integer(Int64.self)
        if value == .max { return .distantFuture }
        if value == .min { return .distantPast }
        // Seconds and the rest apart: the sum keeps the microsecond.
        let (seconds, rest) = value.quotientAndRemainder(dividingBy: 1_000_000)
        return Date(timeIntervalSinceReferenceDate: Double(seconds) - Self.zeroDistance + Double(rest) / 1e6)
      case .date:
        let days = Double(try reader.integer(Int32.self))
        return Date(timeIntervalSinceReferenceDate: days * 86400 - Self.zeroDistance)
      default: throw cell.unfitting(Date.self)
      }
    }
  }
}
