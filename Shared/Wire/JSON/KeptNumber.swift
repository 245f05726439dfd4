/// What PostgreSQL keeps of numbers in a `jsonb`: those of its `numeric` (documentation, 8.1.2), of at most 16,383 digits behind the
/// decimal point and 131,072 before it, as they are written out. Those beyond a double are not kept, to bound what is written out.
enum KeptNumber {
  static let mostFractionDigits = 16_383

  /// Whether a number, as JSON writes it, is kept.
  static func isKept(_ text: String) -> Bool {
    guard Double(text)?.isFinite == true else { return false }
    var (fraction, isFraction) = (0, false)
    var bytes = text.utf8[...]
    while let byte = bytes.popFirst() {
      switch byte {
      case UInt8(ascii: "."): isFraction = true
      case UInt8(ascii: "e"), UInt8(ascii: "E"):
        guard let exponent = Int(Substring(bytes)), exponent.magnitude < 1 << 40 else { return false }
        fraction -= exponent
        bytes = bytes[bytes.endIndex...]
      case _ where isFraction: fraction += 1
      default: break
      }
    }
    return fraction <= mostFractionDigits
  }
}

extension JSON {
  /// Whether PostgreSQL can keep it as a `jsonb`, as far as its numbers go.
  public var isKept: Bool {
    switch self {
    case .decimal(let text): KeptNumber.isKept(text)
    case .array(let elements): elements.allSatisfy(\.isKept)
    case .object(let object): object.members.allSatisfy { $0.value.isKept }
    case .null, .bool, .int, .double, .string: true
    }
  }

  /// Whether a `jsonb` gives a number in it back in other digits: `1e5` as `100000`, `-0` as `0`, and what it cannot keep.
  public var isWrittenAnew: Bool {
    switch self {
    case .double(let number): number != 0 && !(1e-6..<1e21).contains(number.magnitude)
    case .decimal(let text):
      text.utf8.first == UInt8(ascii: "-") && Double(text) == 0 || !KeptNumber.isKept(text)
        || text.utf8.contains { $0 | 0x20 == UInt8(ascii: "e") }
    case .array(let elements): elements.contains(where: \.isWrittenAnew)
    case .object(let object): object.members.contains { $0.value.isWrittenAnew }
    case .null, .bool, .int, .string: false
    }
  }
}
