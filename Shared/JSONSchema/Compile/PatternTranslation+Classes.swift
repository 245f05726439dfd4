extension PatternTranslation {
  /// What an escape stands for: one character, or what stands between the brackets of a class.
  enum Escape {
    case scalar(UInt32)
    case set(String)
  }

  /// A class, its opening bracket read.
  mutating func characterClass() throws(PatternFault) -> String {
    let negated = take("^")
    var set = ""
    while let scalar = next, scalar != "]" {
      let first = try classAtom(scalar)
      guard case .scalar(let low) = first, next == "-", let after = peek(1), after != "]" else {
        append(first, to: &set)
        continue
      }
      position += 1
      let second = try classAtom(after)
      guard case .scalar(let high) = second else {
        set += Self.literal(low) + Self.literal("-")
        append(second, to: &set)
        continue
      }
      guard low <= high else { throw fault("has a range whose end is before its beginning") }
      set += Self.literal(low) + "-" + Self.literal(high)
    }
    guard take("]") else { throw fault("has a class that is not closed") }
    if set.isEmpty { return negated ? #"[\x{0}-\x{10FFFF}]"# : Self.nothing }
    return negated ? "[^\(set)]" : "[\(set)]"
  }

  private func append(_ atom: Escape, to set: inout String) {
    switch atom {
    case .scalar(let value): set += Self.literal(value)
    case .set(let text): set += text
    }
  }

  private mutating func classAtom(_ scalar: Unicode.Scalar) throws(PatternFault) -> Escape {
    position += 1
    guard scalar == "\\" else { return .scalar(scalar.value) }
    if take("b") { return .scalar(0x08) }
    return try escape()
  }

  /// What follows a backslash, in a class or outside.
  mutating func escape() throws(PatternFault) -> Escape {
    guard let scalar = next else { throw fault("ends with a backslash") }
    position += 1
    switch scalar {
    case "d": return .set(#"\d"#)
    case "D": return .set(#"\D"#)
    case "w": return .set(#"\w"#)
    case "W": return .set(#"\W"#)
    case "s": return .set(Self.space)
    case "S": return .set(Self.notSpace)
    case "p", "P": return .set(try property(negated: scalar == "P"))
    case "t": return .scalar(0x09)
    case "n": return .scalar(0x0A)
    case "v": return .scalar(0x0B)
    case "f": return .scalar(0x0C)
    case "r": return .scalar(0x0D)
    case "0": return .scalar(0)
    case "c":
      guard let letter = next, letter.isASCII, letter.properties.isAlphabetic else {
        throw fault(#"has \c without a letter"#)
      }
      position += 1
      return .scalar(letter.value & 31)
    case "x": return .scalar(try hex(2))
    case "u": return .scalar(try unicode())
    default:
      guard !(scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))) else {
        throw fault(#"has \\#(scalar), which ECMA-262 does not know"#)
      }
      return .scalar(scalar.value)
    }
  }

  /// `u0041`, `u{1F600}`, or the two halves of a surrogate pair.
  private mutating func unicode() throws(PatternFault) -> UInt32 {
    if take("{") {
      var value: UInt32 = 0
      while let digit = next, digit != "}" {
        guard let nibble = Self.nibble(digit) else { throw fault(#"has \u{…} that is not hexadecimal"#) }
        value = value << 4 | nibble
        guard value <= 0x10FFFF else { throw fault(#"has \u{…} beyond 10FFFF"#) }
        position += 1
      }
      guard take("}") else { throw fault(#"has \u{ without its end"#) }
      return value
    }
    let high = try hex(4)
    guard (0xD800..<0xDC00).contains(high), next == "\\", peek(1) == "u", peek(2) != "{" else { return high }
    let start = position
    position += 2
    let low = try hex(4)
    if (0xDC00..<0xE000).contains(low) { return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00) }
    position = start
    return high
  }

  private mutating func hex(_ count: Int) throws(PatternFault) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<count {
      guard let digit = next, let nibble = Self.nibble(digit) else {
        throw fault("wants \(count) hexadecimal digits here")
      }
      value = value << 4 | nibble
      position += 1
    }
    return value
  }

  private static func nibble(_ scalar: Unicode.Scalar) -> UInt32? {
    switch scalar {
    case "0"..."9": scalar.value - 0x30
    case "a"..."f": scalar.value - 0x57
    case "A"..."F": scalar.value - 0x37
    default: nil
    }
  }

  /// `{L}`, `{Letter}`, `{gc=Lu}`, `{Script=Greek}`, `{ASCII}`, `{Any}` after `\p` or `\P`.
  private mutating func property(negated: Bool) throws(PatternFault) -> String {
    guard take("{"), let end = source[position...].firstIndex(of: "}") else {
      throw fault(#"has \p without {…}"#)
    }
    let words = String(String.UnicodeScalarView(source[position..<end])).split(separator: "=").map(
      String.init)
    position = end + 1
    guard let name = words.last, words.count <= 2,
      name.utf8.allSatisfy({ $0 == UInt8(ascii: "_") || Unicode.Scalar($0).properties.isAlphabetic })
    else { throw fault(#"has \p{…} that names no property"#) }
    switch name {
    case "Any": return negated ? "" : #"\x{0}-\x{10FFFF}"#
    case "ASCII": return negated ? #"\x{80}-\x{10FFFF}"# : #"\x{0}-\x{7F}"#
    default: return (negated ? #"\P{"# : #"\p{"#) + (Self.categories[name] ?? name) + "}"
    }
  }

  /// White space and line ends of ECMA-262: more than RE2's `\s`.
  private static let space =
    #"\t-\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}"#
  private static let notSpace =
    #"\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}\x{202A}-\x{202E}"#
    + #"\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{FEFE}\x{FF00}-\x{10FFFF}"#

  /// RE2 knows the general categories by their short names only.
  private static let categories: [String: String] = [
    "Letter": "L", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Titlecase_Letter": "Lt",
    "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Combining_Mark": "M",
    "Nonspacing_Mark": "Mn",
    "Spacing_Mark": "Mc", "Enclosing_Mark": "Me", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd",
    "Letter_Number": "Nl", "Other_Number": "No", "Punctuation": "P", "punct": "P",
    "Connector_Punctuation": "Pc",
    "Dash_Punctuation": "Pd", "Open_Punctuation": "Ps", "Close_Punctuation": "Pe",
    "Initial_Punctuation": "Pi",
    "Final_Punctuation": "Pf", "Other_Punctuation": "Po", "Symbol": "S", "Math_Symbol": "Sm",
    "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Other_Symbol": "So", "Separator": "Z",
    "Space_Separator": "Zs", "Line_Separator": "Zl", "Paragraph_Separator": "Zp", "Other": "C",
    "Control": "Cc",
    "cntrl": "Cc", "Format": "Cf", "Surrogate": "Cs", "Private_Use": "Co",
  ]
}
