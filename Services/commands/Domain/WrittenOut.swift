import Wire

extension JSON {
  /// By how many bytes its text grows at most when PostgreSQL gives it back: `jsonb` writes out what has an exponent, and a
  /// command that is sent again is made of that.
  public var writtenOutGrowth: Int {
    switch self {
    case .double, .decimal: ExactNumber(self).map { abs($0.exponent) } ?? 0
    case .array(let elements): elements.reduce(0) { $0 + $1.writtenOutGrowth }
    case .object(let object): object.members.reduce(0) { $0 + $1.value.writtenOutGrowth }
    case .null, .bool, .int, .string: 0
    }
  }
}
