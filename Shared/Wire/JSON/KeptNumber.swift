/// What PostgreSQL keeps of numbers in a `jsonb`: those of its `numeric` (documentation, 8.1.2), of at most 16,383 digits behind the
/// decimal point, as they are written out. Its limit before the point is further than what the parser takes.
enum KeptNumber {
  static let mostFractionDigits = 16_383

  /// Whether a number, as JSON writes it, is kept.
  static func isKept(_ text: String) -> Bool {
    var (fraction, isFraction) = (0, false)
    var bytes = text.utf8[...]
    while let byte = bytes.popFirst() {
      switch byte {
      case UInt8(ascii: "."): isFraction = true
      case UInt8(ascii: "e"), UInt8(ascii: "E"):
        guard let exponent = Int(Substring(bytes)), abs(exponent) < 1 << 40 else { return false }
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
  /// Where in it a number stands that PostgreSQL cannot keep, as a JSON Pointer; nil if there is none.
  public var numberNotKept: String? {
    switch self {
    case .decimal(let text): KeptNumber.isKept(text) ? nil : ""
    case .array(let elements):
      elements.enumerated().lazy.compactMap { index, element in
        element.numberNotKept.map { "/\(index)\($0)" }
      }.first
    case .object(let object):
      object.members.lazy.compactMap { member in
        member.value.numberNotKept.map { "/\(JSONPointer.escape(member.name))\($0)" }
      }.first
    case .null, .bool, .int, .double, .string: nil
    }
  }
}
