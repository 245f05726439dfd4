/// A JSON number by its exact decimal value, however it is written and however many digits it has: 1, 1.0 and 10e-1 are one.
public struct ExactNumber: Sendable, Hashable {
  public let isNegative: Bool
  /// The value is these digits × 10^`exponent`; no zeros at either end, none at all for zero.
  public let digits: [UInt8]
  public let exponent: Int

  /// - Returns: nil for what is no number.
  public init?(_ value: JSON) {
    switch value {
    case .int(let number): self.init(text: String(number))
    case .double(let number): self.init(text: "\(number)")
    case .decimal(let text): self.init(text: text)
    default: return nil
    }
  }

  /// - Parameter text: a number as JSON or Swift writes it.
  private init(text: String) {
    var digits: [UInt8] = []
    var exponent = 0
    var isFraction = false
    var bytes = text.utf8[...]
    let isNegative = bytes.first == UInt8(ascii: "-")
    while let byte = bytes.popFirst() {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        if byte != UInt8(ascii: "0") || !digits.isEmpty { digits.append(byte - UInt8(ascii: "0")) }
        if isFraction { exponent -= 1 }
      case UInt8(ascii: "."): isFraction = true
      case UInt8(ascii: "e"), UInt8(ascii: "E"):
        exponent += Self.exponent(Substring(bytes))
        bytes = bytes[bytes.endIndex...]
      default: break
      }
    }
    let zeros = digits.reversed().prefix { $0 == 0 }.count
    digits.removeLast(zeros)
    self.digits = digits
    self.exponent = digits.isEmpty ? 0 : exponent + zeros
    self.isNegative = isNegative && !digits.isEmpty
  }

  /// What no exponent of a number in use comes near stands for all beyond it.
  private static func exponent(_ text: Substring) -> Int {
    let furthest = 1 << 40
    guard let value = Int(text) else { return text.utf8.first == UInt8(ascii: "-") ? -furthest : furthest }
    return min(max(value, -furthest), furthest)
  }

  /// Whether it has no fraction.
  public var isWhole: Bool { exponent >= 0 }

  /// The number, if it is whole and fits.
  public var int: Int64? {
    guard isWhole, digits.count + exponent <= 19 else { return nil }
    var value: Int64 = 0
    for digit in digits + [UInt8](repeating: 0, count: exponent) {
      let (tens, isOver) = value.multipliedReportingOverflow(by: 10)
      let (sum, isBeyond) = tens.addingReportingOverflow(isNegative ? -Int64(digit) : Int64(digit))
      if isOver || isBeyond { return nil }
      value = sum
    }
    return value
  }

  /// Whether it is a multiple of another, which has at most 18 digits.
  public func isMultiple(of divisor: ExactNumber) -> Bool {
    if digits.isEmpty { return true }
    let shift = exponent - divisor.exponent
    let unit = divisor.digits.reduce(UInt64(0)) { $0 * 10 + UInt64($1) }
    // A digit beyond the divisor's last one, which is none of the zeros at the end.
    guard shift >= 0, unit > 0 else { return false }
    var rest = digits.reduce(UInt64(0)) { ($0 * 10 + UInt64($1)) % unit }
    var power = 10 % unit
    var left = shift
    while left > 0 {
      if left & 1 == 1 { rest = Self.product(rest, power, over: unit) }
      power = Self.product(power, power, over: unit)
      left >>= 1
    }
    return rest == 0
  }

  private static func product(_ a: UInt64, _ b: UInt64, over unit: UInt64) -> UInt64 {
    unit.dividingFullWidth(a.multipliedFullWidth(by: b)).remainder
  }
}

extension ExactNumber: Comparable {
  public static func < (a: ExactNumber, b: ExactNumber) -> Bool {
    if a.isNegative != b.isNegative { return a.isNegative }
    return a.isNegative ? a.isSmaller(b, by: >) : a.isSmaller(b, by: <)
  }

  /// By where the first digit stands, then digit by digit.
  private func isSmaller(_ other: ExactNumber, by order: (Int, Int) -> Bool) -> Bool {
    if digits.isEmpty || other.digits.isEmpty { return order(digits.count, other.digits.count) }
    let (place, others) = (digits.count + exponent, other.digits.count + other.exponent)
    if place != others { return order(place, others) }
    if let (a, b) = zip(digits, other.digits).first(where: { $0 != $1 }) { return order(Int(a), Int(b)) }
    return order(digits.count, other.digits.count)
  }
}

extension JSON {
  /// The whole number, however it is written, if it fits: 3, 3.0 and 30e-1.
  public var whole: Int64? {
    switch self {
    case .int(let number): number
    case .double, .decimal: ExactNumber(self)?.int
    default: nil
    }
  }
}
