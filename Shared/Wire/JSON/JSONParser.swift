/// What is wrong with a JSON text, and where.
public struct JSONError: Error, Equatable, CustomStringConvertible {
  /// JSON Pointer (RFC 6901) of the value that holds the fault.
  public internal(set) var pointer: String
  public let message: String

  public var description: String { pointer.isEmpty ? message : "\(pointer): \(message)" }
}

extension JSON {
  /// How deep arrays and objects may be nested.
  public static let defaultDepth = 64

  /// Reads one JSON text.
  ///
  /// Stricter than RFC 8259 where a store would choke or readers would differ: names are unique (RFC 7493),
  /// U+0000 is refused (PostgreSQL takes none), surrogates come in pairs, numbers are within a double's range.
  /// - Parameter allowsAnyNumber: numbers of any size are kept, for what a device says: an answer is not lost for them.
  /// - Throws: `JSONError` with the pointer of the first fault.
  public init(
    parsing bytes: [UInt8], maximumDepth: Int = defaultDepth, allowsAnyNumber: Bool = false
  ) throws(JSONError) {
    let result: Result<JSON, JSONError> = bytes.withUnsafeBufferPointer { buffer in
      var parser = JSONParser(
        bytes: buffer, maximumDepth: maximumDepth, allowsAnyNumber: allowsAnyNumber)
      do throws(JSONError) { return .success(try parser.document()) } catch { return .failure(error) }
    }
    self = try result.get()
  }

  /// Reads one JSON text.
  public init(parsing text: String, maximumDepth: Int = defaultDepth) throws(JSONError) {
    try self.init(parsing: Array(text.utf8), maximumDepth: maximumDepth)
  }
}

/// A recursive-descent reader over the bytes of one text; its depth is bounded by the limit, not by the stack.
struct JSONParser {
  let bytes: UnsafeBufferPointer<UInt8>
  let maximumDepth: Int
  let allowsAnyNumber: Bool
  var position = 0
  private var depth = 0

  init(bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int, allowsAnyNumber: Bool) {
    (self.bytes, self.maximumDepth) = (bytes, maximumDepth)
    self.allowsAnyNumber = allowsAnyNumber
  }

  mutating func document() throws(JSONError) -> JSON {
    let value = try value()
    skipSpace()
    guard position == bytes.count else { throw fault("nothing may follow the JSON value") }
    return value
  }

  func fault(_ message: String) -> JSONError {
    JSONError(pointer: "", message: "\(message) (byte \(position))")
  }

  func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0") <= byte && byte <= UInt8(ascii: "9") }

  var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func value() throws(JSONError) -> JSON {
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return try nested { parser throws(JSONError) in try parser.object() }
    case UInt8(ascii: "["): return try nested { parser throws(JSONError) in try parser.array() }
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case let byte? where byte == UInt8(ascii: "-") || isDigit(byte): return try number()
    case nil: throw fault("the JSON text ends too early")
    default: throw fault("not a JSON value")
    }
  }

  private mutating func nested(
    _ body: (inout JSONParser) throws(JSONError) -> JSON
  ) throws(JSONError) -> JSON {
    guard depth < maximumDepth else { throw fault("nested deeper than \(maximumDepth) levels") }
    depth += 1
    position += 1
    let value = try body(&self)
    depth -= 1
    return value
  }

  private mutating func word(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
    for offset in 0..<word.utf8CodeUnitCount {
      guard next == word.utf8Start[offset] else { throw fault("not a JSON value") }
      position += 1
    }
    return value
  }

  private mutating func array() throws(JSONError) -> JSON {
    var elements: [JSON] = []
    skipSpace()
    if next == UInt8(ascii: "]") {
      position += 1
      return .array([])
    }
    while true {
      do throws(JSONError) { elements.append(try value()) } catch {
        throw error.inside("\(elements.count)")
      }
      skipSpace()
      switch next {
      case UInt8(ascii: ","): position += 1
      case UInt8(ascii: "]"):
        position += 1
        return .array(elements)
      default: throw fault("an array goes on with , or ends with ]")
      }
    }
  }

  private mutating func object() throws(JSONError) -> JSON {
    var members: [JSONObject.Member] = []
    var seen: Set<ExactText> = []
    skipSpace()
    if next == UInt8(ascii: "}") {
      position += 1
      return .object(JSONObject())
    }
    while true {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw fault("a member begins with its name in quotes") }
      let name = try string()
      try checkUnique(name, among: members, seen: &seen)
      skipSpace()
      guard next == UInt8(ascii: ":") else { throw fault("a colon follows a member's name").inside(name) }
      position += 1
      do throws(JSONError) { members.append(.init(name: name, value: try value())) } catch {
        throw error.inside(name)
      }
      skipSpace()
      switch next {
      case UInt8(ascii: ","): position += 1
      case UInt8(ascii: "}"):
        position += 1
        return .object(JSONObject(unique: members))
      default: throw fault("an object goes on with , or ends with }")
      }
    }
  }

  /// A look along a few members is faster than a set; an object of thousands must not cost their square. Names are
  /// the same if their bytes are: Swift's `==` would also take `é` for `e` with an accent after it.
  private func checkUnique(
    _ name: String, among members: [JSONObject.Member], seen: inout Set<ExactText>
  ) throws(JSONError) {
    if members.count == 16 { seen = Set(members.map { ExactText($0.name) }) }
    let taken =
      members.count < 16
      ? members.contains { $0.name.isExactly(name) } : !seen.insert(ExactText(name)).inserted
    if taken { throw fault("the name stands twice in one object").inside(name) }
  }
}

extension JSONError {
  /// The same fault, seen from the object or array around it.
  func inside(_ step: String) -> JSONError {
    JSONError(pointer: "/" + JSONPointer.escape(step) + pointer, message: message)
  }
}

/// RFC 6901, as much as faults need.
public enum JSONPointer {
  /// One step, escaped: `~` and `/` become `~0` and `~1`.
  public static func escape(_ step: String) -> String {
    guard step.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
      return step
    }
    // By code points: as characters, a slash with an accent after it is none.
    return step.unicodeScalars.reduce(into: "") { escaped, scalar in
      switch scalar {
      case "~": escaped += "~0"
      case "/": escaped += "~1"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
  }
  /// One step as it was before it was escaped.
  public static func unescape(_ step: String) -> String {
    guard step.utf8.contains(UInt8(ascii: "~")) else { return step }
    return step.split(separator: "~1", omittingEmptySubsequences: false).joined(separator: "/")
      .split(separator: "~0", omittingEmptySubsequences: false).joined(separator: "~")
  }
}
