extension JSON {
  /// The value as UTF-8 text without spaces, members in their order.
  public var bytes: [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(256)
    write(to: &out, canonical: false)
    return out
  }

  /// The value as text.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The canonical form of RFC 8785: what the hashes of inline artefacts are made of.
  public var canonicalBytes: [UInt8] {
    var out: [UInt8] = []
    write(to: &out, canonical: true)
    return out
  }

  func write(to out: inout [UInt8], canonical: Bool) {
    switch self {
    case .null: out.append(contentsOf: "null".utf8)
    case .bool(let truth): out.append(contentsOf: (truth ? "true" : "false").utf8)
    case .int(let number) where !canonical || number.magnitude <= 9_007_199_254_740_992:
      out.append(contentsOf: String(number).utf8)
    case .int(let number): out.append(contentsOf: Self.ecmaScript(Double(number)).utf8)
    case .double(let number): out.append(contentsOf: Self.ecmaScript(number).utf8)
    case .decimal(let text):
      out.append(contentsOf: (canonical ? Double(text).map(Self.ecmaScript) ?? text : text).utf8)
    case .string(let text): Self.write(text, to: &out)
    case .array(let elements):
      out.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        element.write(to: &out, canonical: canonical)
      }
      out.append(UInt8(ascii: "]"))
    case .object(let object):
      let members =
        canonical
        ? object.members.sorted { $0.name.utf16.lexicographicallyPrecedes($1.name.utf16) } : object.members
      out.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        Self.write(member.name, to: &out)
        out.append(UInt8(ascii: ":"))
        member.value.write(to: &out, canonical: canonical)
      }
      out.append(UInt8(ascii: "}"))
    }
  }

  static func write(_ text: String, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    var text = text
    text.withUTF8 { bytes in
      // Hardly any text has something to escape, and looking is cheaper than appending byte by byte.
      guard bytes.contains(where: { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") })
      else {
        return out.append(contentsOf: bytes)
      }
      escape(bytes, to: &out)
    }
    out.append(UInt8(ascii: "\""))
  }

  private static func escape(_ text: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) {
    for byte in text {
      switch byte {
      case UInt8(ascii: "\""): out.append(contentsOf: #"\""#.utf8)
      case UInt8(ascii: "\\"): out.append(contentsOf: #"\\"#.utf8)
      case 0x08: out.append(contentsOf: #"\b"#.utf8)
      case 0x09: out.append(contentsOf: #"\t"#.utf8)
      case 0x0A: out.append(contentsOf: #"\n"#.utf8)
      case 0x0C: out.append(contentsOf: #"\f"#.utf8)
      case 0x0D: out.append(contentsOf: #"\r"#.utf8)
      case 0..<0x20:
        out.append(contentsOf: #"\u00"#.utf8)
        out.append(contentsOf: [Hex.digit(byte >> 4), Hex.digit(byte & 15)])
      default: out.append(byte)
      }
    }
  }

  /// ECMAScript's `Number::toString`, as RFC 8785 section 3.2.2.3 asks: Swift's shortest digits, set another way.
  static func ecmaScript(_ number: Double) -> String {
    if number == 0 { return "0" }
    let sign = number < 0 ? "-" : ""
    let parts = "\(abs(number))".split(separator: "e")
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    let fraction = mantissa.count > 1 && mantissa[1] != "0" ? String(mantissa[1]) : ""
    var digits = String(mantissa[0]) + fraction
    // The value is 0.digits × 10^point.
    var point = mantissa[0].count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
    while digits.hasPrefix("0") {
      digits.removeFirst()
      point -= 1
    }
    while digits.hasSuffix("0") { digits.removeLast() }
    let count = digits.count
    if (count...21).contains(point) { return sign + digits + String(repeating: "0", count: point - count) }
    if (1...21).contains(point) { return sign + digits.prefix(point) + "." + digits.dropFirst(point) }
    if (-5...0).contains(point) { return sign + "0." + String(repeating: "0", count: -point) + digits }
    let exponent = (point > 0 ? "e+" : "e-") + "\(abs(point - 1))"
    return sign + digits.prefix(1) + (count > 1 ? "." + digits.dropFirst() : "") + exponent
  }
}
