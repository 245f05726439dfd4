/// Which elements of an array, or members of an object, keywords have looked at: what `unevaluated…` asks for.
struct Marks {
  private var words: [UInt64]

  init(count: Int) { words = [UInt64](repeating: 0, count: (count + 63) / 64) }

  /// What joining it with another costs, in steps.
  var weight: Int { words.count / 32 }

  mutating func insert(_ index: Int) { words[index / 64] |= 1 << (index % 64) }

  func contains(_ index: Int) -> Bool { words[index / 64] & 1 << (index % 64) != 0 }

  mutating func formUnion(_ other: Marks) {
    for index in words.indices { words[index] |= other.words[index] }
  }
}
