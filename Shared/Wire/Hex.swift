/// Hexadecimal digits.
enum Hex {
  /// The value of one digit, of either case.
  static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// The lower-case digit of a value under 16.
  static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}

extension Sequence where Element == UInt8 {
  /// The bytes as hexadecimal text, two lower-case digits each.
  public var hex: String {
    let bytes = Array(self)
    return String(unsafeUninitializedCapacity: 2 * bytes.count) { text in
      for (index, byte) in bytes.enumerated() {
        text[2 * index] = Hex.digit(byte >> 4)
        text[2 * index + 1] = Hex.digit(byte & 15)
      }
      return 2 * bytes.count
    }
  }
}

extension [UInt8] {
  /// The bytes of hexadecimal text; nil for what is none.
  public init?(hex text: String) {
    let digits = text.utf8.compactMap { Hex.value($0) }
    guard digits.count == text.utf8.count, digits.count.isMultiple(of: 2) else { return nil }
    self = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}
