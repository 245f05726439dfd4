extension Sequence where Element == UInt8 {
  /// The bytes as lower-case hexadecimal text.
  public var hex: String {
    var text: [UInt8] = []
    text.reserveCapacity(2 * underestimatedCount)
    for byte in self {
      text.append(hexDigit(byte >> 4))
      text.append(hexDigit(byte & 15))
    }
    return String(decoding: text, as: UTF8.self)
  }
}

extension Array where Element == UInt8 {
  /// The bytes that hexadecimal text stands for, in either case; `nil` for an odd length or another character.
  public init?(hex text: some StringProtocol) {
    guard text.utf8.count.isMultiple(of: 2) else { return nil }
    self = []
    reserveCapacity(text.utf8.count / 2)
    var digits = text.utf8.makeIterator()
    while let high = digits.next(), let low = digits.next() {
      guard let high = Self.nibble(high), let low = Self.nibble(low) else { return nil }
      append(high << 4 | low)
    }
  }

  private static func nibble(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 0x30...0x39: digit - 0x30
    case 0x41...0x46: digit - 0x41 + 10
    case 0x61...0x66: digit - 0x61 + 10
    default: nil
    }
  }
}

private func hexDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? nibble + 0x30 : nibble + 0x57 }
