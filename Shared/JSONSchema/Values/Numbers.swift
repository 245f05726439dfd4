import Wire

/// JSON's numbers by their exact value. Most are short, and need no digits to be compared.
enum Numbers {
  enum Order { case less, same, more }

  /// Whole numbers up to here are exact as doubles.
  private static let exact = 9_007_199_254_740_992.0

  /// How two numbers stand to each other; nil if one of them is no number.
  static func order(_ a: JSON, _ b: JSON) -> Order? {
    switch (a, b) {
    case (.int(let a), .int(let b)): return compare(a, b)
    case (.double(let a), .double(let b)): return compare(a, b)
    default:
      guard let a = ExactNumber(a), let b = ExactNumber(b) else { return nil }
      return compare(a, b)
    }
  }

  private static func compare<T: Comparable>(_ a: T, _ b: T) -> Order {
    a < b ? .less : a == b ? .same : .more
  }

  /// Whether it is a number without a fraction, however it is written.
  static func isWhole(_ value: JSON) -> Bool {
    switch value {
    case .int: true
    case .double(let number): number.rounded(.towardZero) == number
    case .decimal: ExactNumber(value)?.isWhole ?? false
    default: false
    }
  }

  /// Feeds a hash, the same for all spellings of one number.
  static func feed(_ value: JSON, to hasher: inout Hasher) {
    if case .int(let number) = value, number.magnitude < UInt64(exact) { return hasher.combine(number) }
    if case .double(let number) = value, number.magnitude < exact, let whole = Int64(exactly: number) {
      return hasher.combine(whole)
    }
    guard let number = ExactNumber(value) else { return }
    if let whole = number.int, whole.magnitude < UInt64(exact) { return hasher.combine(whole) }
    hasher.combine(number)
  }
}
