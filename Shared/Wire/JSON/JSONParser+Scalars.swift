extension JSONParser {
  /// A string, its opening quote next.
  mutating func string() throws(JSONError) -> String {
    position += 1
    let start = position
    var isASCII = true
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        let slice = UnsafeBufferPointer(rebasing: bytes[start..<position])
        // Checking is dear, and most text needs none.
        let text = isASCII ? String(decoding: slice, as: UTF8.self) : try text(slice)
        position += 1
        return text
      case UInt8(ascii: "\\"): return try escapedString(from: start)
      case 0..<0x20: throw fault("a control character in a string has to be escaped")
      case 0x80...:
        isASCII = false
        position += 1
      default: position += 1
      }
    }
    throw fault("a string is not closed")
  }

  private func text(_ slice: UnsafeBufferPointer<UInt8>) throws(JSONError) -> String {
    guard let text = String(validating: slice, as: UTF8.self) else { throw fault("not valid UTF-8") }
    return text
  }

  private mutating func escapedString(from start: Int) throws(JSONError) -> String {
    var out = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: out, as: UTF8.self) else { throw fault("not valid UTF-8") }
        return text
      case UInt8(ascii: "\\"): try escape(into: &out)
      case 0..<0x20: throw fault("a control character in a string has to be escaped")
      default: out.append(byte)
      }
    }
    throw fault("a string is not closed")
  }

  private mutating func escape(into out: inout [UInt8]) throws(JSONError) {
    guard let byte = next else { throw fault("a string is not closed") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(byte)
    case UInt8(ascii: "b"): out.append(0x08)
    case UInt8(ascii: "f"): out.append(0x0C)
    case UInt8(ascii: "n"): out.append(0x0A)
    case UInt8(ascii: "r"): out.append(0x0D)
    case UInt8(ascii: "t"): out.append(0x09)
    case UInt8(ascii: "u"): out.append(contentsOf: Array(String(try unicodeEscape()).utf8))
    default: throw fault("no such escape in JSON")
    }
  }

  private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
    let first = try hex4()
    if first == 0 { throw fault("U+0000 cannot be stored") }
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard (0xD800..<0xDC00).contains(first), next == UInt8(ascii: "\\") else {
      throw fault("half of a surrogate pair")
    }
    position += 1
    guard next == UInt8(ascii: "u") else { throw fault("half of a surrogate pair") }
    position += 1
    let second = try hex4()
    guard (0xDC00..<0xE000).contains(second),
      let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    else { throw fault("half of a surrogate pair") }
    return scalar
  }

  private mutating func hex4() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Hex.value(byte) else { throw fault("\\u wants four hex digits") }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  /// A number, its first character next.
  mutating func number() throws(JSONError) -> JSON {
    let start = position
    var whole = true
    if next == UInt8(ascii: "-") { position += 1 }
    let leadingZero = next == UInt8(ascii: "0")
    let digits = digits()
    guard digits > 0, !(leadingZero && digits > 1) else { throw fault("not a JSON number") }
    if next == UInt8(ascii: ".") {
      whole = false
      position += 1
      guard self.digits() > 0 else { throw fault("digits follow a decimal point") }
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      whole = false
      position += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
      guard self.digits() > 0 else { throw fault("digits follow an exponent") }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if whole, let number = Int64(text) { return text == "-0" ? .decimal(text) : .int(number) }
    guard let number = Double(text), number.isFinite else {
      guard allowsAnyNumber else { throw fault("a number too large") }
      return .decimal(text)
    }
    return Self.isShortest(text) || JSON.ecmaScript(number) == text ? .double(number) : .decimal(text)
  }

  /// Whether a double certainly gives a number back as it is written, told by its looks: up to 15 digits with a point among
  /// them, no zero at the end.
  private static func isShortest(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      bytes.count <= 16 && bytes.last != UInt8(ascii: "0") && bytes.first != UInt8(ascii: "0")
        && bytes.first != UInt8(ascii: "-") && bytes.contains(UInt8(ascii: "."))
        && bytes.allSatisfy {
          $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        }
    }
  }

  private mutating func digits() -> Int {
    let start = position
    while let byte = next, isDigit(byte) { position += 1 }
    return position - start
  }
}
