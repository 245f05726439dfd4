/// Why a pattern cannot be used.
struct PatternFault: Error {
  let reason: String
}

/// A pattern of ECMA-262 in RE2's syntax, with the meaning it has there: the two agree on most of what is written, but not
/// on `.`, `\s`, `\u0041`, `[^]`, named groups. What no automaton can do in linear time is refused.
struct PatternTranslation {
  let source: [Unicode.Scalar]
  var position = 0
  private var out = ""

  private init(_ text: String) { source = Array(text.unicodeScalars) }

  static func translate(_ text: String) throws(PatternFault) -> String {
    var translation = PatternTranslation(text)
    try translation.pattern()
    return translation.out
  }

  var next: Unicode.Scalar? { position < source.count ? source[position] : nil }

  func peek(_ offset: Int) -> Unicode.Scalar? {
    position + offset < source.count ? source[position + offset] : nil
  }

  func fault(_ reason: String) -> PatternFault {
    PatternFault(reason: "\(reason) (character \(position + 1) of the pattern)")
  }

  mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard next == scalar else { return false }
    position += 1
    return true
  }

  private mutating func pattern() throws(PatternFault) {
    while let scalar = next {
      switch scalar {
      case "\\":
        position += 1
        try atomEscape()
      case "[":
        position += 1
        out += try characterClass()
      case "(":
        position += 1
        try group()
      case ".":
        position += 1
        out += #"[^\n\r\x{2028}\x{2029}]"#
      case "{":
        try bounds()
      case "^", "$", "|", ")", "*", "+", "?":
        out.unicodeScalars.append(scalar)
        position += 1
      default:
        out += Self.literal(scalar.value)
        position += 1
      }
    }
  }

  /// Groups capture nothing here, named or not: nobody asks what they matched.
  private mutating func group() throws(PatternFault) {
    out += "(?:"
    guard take("?") else { return }
    switch (next, peek(1)) {
    case (":", _):
      position += 1
    case ("<", let kind?) where kind != "=" && kind != "!":
      guard let end = source[position...].firstIndex(of: ">") else {
        throw fault("has a name without an end")
      }
      position = end + 1
    case ("=", _), ("!", _), ("<", _):
      throw fault("looks ahead or behind, which cannot be matched in linear time")
    default:
      throw fault("has a kind of group that JSON Schema's patterns do not know")
    }
  }

  /// `{2}`, `{2,}`, `{2,5}`; any other brace stands for itself.
  private mutating func bounds() throws(PatternFault) {
    var end = position + 1
    func digits() -> Bool {
      let start = end
      while end < source.count, ("0"..."9").contains(source[end]) { end += 1 }
      return end > start
    }
    var isBounds = digits()
    if isBounds, end < source.count, source[end] == "," {
      end += 1
      _ = digits()
    }
    isBounds = isBounds && end < source.count && source[end] == "}"
    guard isBounds else {
      out += Self.literal("{")
      position += 1
      return
    }
    for scalar in source[position...end] { out.unicodeScalars.append(scalar) }
    position = end + 1
  }

  /// What follows a backslash outside a class.
  private mutating func atomEscape() throws(PatternFault) {
    switch next {
    case "b", "B":
      out += next == "b" ? #"\b"# : #"\B"#
      position += 1
    case let mark? where mark == "k" || ("1"..."9").contains(mark):
      throw fault("refers back to what a group matched, which cannot be matched in linear time")
    default:
      switch try escape() {
      case .scalar(let value): out += Self.literal(value)
      case .set(let set): out += set.isEmpty ? Self.nothing : "[\(set)]"
      }
    }
  }

  /// Matches no character.
  static let nothing = #"[^\x{0}-\x{10FFFF}]"#

  static func literal(_ scalar: Unicode.Scalar) -> String { literal(scalar.value) }

  /// One character that stands for itself, in a class or outside.
  static func literal(_ value: UInt32) -> String {
    if let scalar = Unicode.Scalar(value), value >= 0x80 || scalar.properties.isAlphabetic || scalar == " " {
      return String(scalar)
    }
    return #"\x{"# + String(value, radix: 16) + "}"
  }
}
