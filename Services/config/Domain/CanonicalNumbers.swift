import Wire

extension JSON {
  /// The whole numbers in it beyond ±(2^53−1) that are written out as such (`9007199254740993`) or are no double
  /// (`9007199254740993.0`): RFC 8785 writes numbers as doubles, so readers that keep all digits and readers that do not would
  /// hash them differently. (What is beyond a double is no JSON here at all.)
  /// - Parameter pointer: where this value stands.
  /// - Returns: the first few, each with its pointer.
  public func uncanonicalNumbers(at pointer: String, most: Int = 20) -> [JSONFault] {
    switch self {
    case .int, .double, .decimal: isUncanonical ? [Self.fault(pointer)] : []
    case .array(let elements):
      elements.enumerated().lazy.flatMap { $1.uncanonicalNumbers(at: "\(pointer)/\($0)", most: most) }.first(
        most)
    case .object(let object):
      object.members.lazy.flatMap {
        $0.value.uncanonicalNumbers(at: "\(pointer)/\(JSONPointer.escape($0.name))", most: most)
      }.first(most)
    case .null, .bool, .string: []
    }
  }

  private var isUncanonical: Bool {
    guard let number = double, number.magnitude > 9_007_199_254_740_991, let exact = ExactNumber(self),
      exact.isWhole
    else { return false }
    return !text.utf8.contains(where: Self.isOfFraction) || exact != ExactNumber(.double(number))
  }

  private static func isOfFraction(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ".") || byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E")
  }

  private static func fault(_ pointer: String) -> JSONFault {
    JSONFault(
      pointer: pointer,
      message:
        "is a whole number beyond ±9007199254740991, which is not hashed the same everywhere: send it as text"
    )
  }
}

extension Sequence {
  fileprivate func first(_ count: Int) -> [Element] { Array(prefix(count)) }
}
