import FoundationEssentials
import Wire

/// A value as it stands in a filter: what it says, and where its asterisks are open ends.
struct FilterValue {
  /// With every asterisk as it is.
  let text: String
  /// If one of its ends is open.
  let pattern: DeviceExpression.Pattern?
}

/// Goes along the characters of a filter.
struct FilterScanner {
  private let scalars: [Unicode.Scalar]
  private(set) var position = 0

  init(_ text: String) { scalars = Array(text.unicodeScalars) }

  var count: Int { scalars.count }
  /// The next character; nil at the end.
  var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }
  /// Where the next character stands.
  var column: Int { position + 1 }

  /// What stands next, for messages.
  var found: String { next.map { "found \(FilterScanner.quote(String($0)))" } ?? "the filter ends" }

  /// Text of a client's in a message: not all of it, and no control characters.
  static func quote(_ text: String) -> String {
    let shown = text.unicodeScalars.prefix(60).reduce(into: "") {
      $0.unicodeScalars.append($1.properties.generalCategory == .control ? "\u{FFFD}" : $1)
    }
    return "“\(shown)\(text.unicodeScalars.count > 60 ? "…" : "")”"
  }

  func fault(_ message: String, at column: Int? = nil) -> FilterFault {
    FilterFault(column: column ?? self.column, message: message)
  }

  mutating func skipBlanks() {
    while let scalar = next, scalar == " " || scalar == "\t" { position += 1 }
  }

  mutating func take(_ text: String) -> Bool {
    let wanted = text.unicodeScalars
    guard scalars[position...].starts(with: wanted) else { return false }
    position += wanted.count
    return true
  }

  /// What may not stand in a word without quotes.
  private static func isReserved(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "\"", "'", "(", ")", ";", ",", "=", "!", "~", "<", ">": true
    default: false
    }
  }

  /// The characters of a field's name; blanks may stand within, as they may in names of metadata.
  mutating func selector() -> String {
    let start = position
    while let scalar = next, !Self.isReserved(scalar) { position += 1 }
    var end = position
    while end > start, scalars[end - 1] == " " || scalars[end - 1] == "\t" { end -= 1 }
    return text(start..<end)
  }

  /// A value, in quotes or not.
  mutating func value() throws(FilterFault) -> FilterValue {
    if next == "\"" || next == "'" { return try quoted() }
    let start = position
    var characters: [Unicode.Scalar] = []
    while let scalar = next, !Self.isReserved(scalar) {
      if scalar == " " || scalar == "\t" {
        guard isPlusOfTime(after: start) else { break }
        characters.append("+")
      } else {
        characters.append(scalar)
      }
      position += 1
    }
    guard !characters.isEmpty else { throw fault("expected a value, \(found)") }
    return Self.value(characters, escaped: [])
  }

  /// Whether a blank was a plus before an address was decoded: after a time, before its offset.
  private func isPlusOfTime(after start: Int) -> Bool {
    let offset = scalars[position...].dropFirst().prefix(5)
    guard scalars[position] == " ", offset.count == 5, Date(rfc3339: text(start..<position) + "Z") != nil
    else { return false }
    return Date(rfc3339: text(start..<position) + "+" + text(position + 1..<position + 6)) != nil
  }

  private mutating func quoted() throws(FilterFault) -> FilterValue {
    let (opening, mark) = (column, next)
    var characters: [Unicode.Scalar] = []
    var escaped: Set<Int> = []
    position += 1
    while let scalar = next {
      position += 1
      if scalar == mark { return Self.value(characters, escaped: escaped) }
      if scalar == "\\" {
        guard let literal = next else { break }
        escaped.insert(characters.count)
        characters.append(literal)
        position += 1
      } else {
        characters.append(scalar)
      }
    }
    throw fault("the quotes are not closed", at: opening)
  }

  /// A name in quotes, in which no character has a meaning of its own.
  mutating func quotedName() throws(FilterFault) -> String { try quoted().text }

  private static func value(_ characters: [Unicode.Scalar], escaped: Set<Int>) -> FilterValue {
    func isOpen(_ index: Int) -> Bool {
      characters.indices.contains(index) && characters[index] == "*" && !escaped.contains(index)
    }
    let last = characters.count - 1
    let (before, after) = (isOpen(0), isOpen(last))
    guard before || after else { return FilterValue(text: string(characters[...]), pattern: nil) }
    // A single asterisk is open at both ends.
    let inner = characters[(before ? 1 : 0)...].dropLast(after && (!before || last > 0) ? 1 : 0)
    return FilterValue(
      text: string(characters[...]),
      pattern: DeviceExpression.Pattern(
        string(inner), isOpenBefore: before, isOpenAfter: after))
  }

  private static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
    scalars.reduce(into: "") { $0.unicodeScalars.append($1) }
  }

  private func text(_ range: Range<Int>) -> String { Self.string(scalars[range]) }
}
