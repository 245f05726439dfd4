/// Takes a request's target apart. Split comes before decode, so that `%2F` is a slash *inside* a segment.
struct HTTPTarget: Sendable, Equatable {
  var path: [String]
  var query: HTTPQuery

  /// `nil` for a bad escape, `%00`, text that is not UTF-8, a control character, or a form that is neither a path,
  /// nor an absolute address, nor `*`.
  init?(_ raw: String) {
    guard raw.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { return nil }
    if raw == "*" {
      (path, query) = (["*"], HTTPQuery())
      return
    }
    guard let rest = Self.withoutAuthority(raw[...]) else { return nil }
    let mark = rest.utf8.firstIndex(of: UInt8(ascii: "?"))
    guard let path = Self.path(rest[..<(mark ?? rest.endIndex)]) else { return nil }
    self.path = path
    query = HTTPQuery()
    if let mark {
      guard let items = Self.query(rest[rest.utf8.index(after: mark)...]) else { return nil }
      query.items = items
    }
  }

  /// The path and query of `http://host/path?query`, which RFC 9112 makes every server understand.
  private static func withoutAuthority(_ raw: Substring) -> Substring? {
    if raw.utf8.first == UInt8(ascii: "/") { return raw }
    for scheme in ["http://", "https://"] {
      guard raw.utf8.count >= scheme.utf8.count, HTTPFields.same(String(raw.prefix(scheme.count)), scheme)
      else {
        continue
      }
      let rest = raw.dropFirst(scheme.count)
      guard let end = rest.utf8.firstIndex(where: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") })
      else {
        return rest.isEmpty ? nil : "/"
      }
      guard end > rest.startIndex else { return nil }
      return rest.utf8[end] == UInt8(ascii: "/") ? rest[end...] : "/" + rest[end...]
    }
    return nil
  }

  private static func path(_ raw: Substring) -> [String]? {
    guard raw.utf8.count > 1 else { return [] }
    var segments: [String] = []
    segments.reserveCapacity(6)
    for piece in raw.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
      guard let segment = decode(Substring(piece), plusIsSpace: false) else { return nil }
      segments.append(segment)
    }
    return segments
  }

  private static func query(_ raw: Substring) -> [HTTPQuery.Item]? {
    var items: [HTTPQuery.Item] = []
    for piece in raw.utf8.split(separator: UInt8(ascii: "&")) {
      let equals = piece.firstIndex(of: UInt8(ascii: "="))
      guard let name = decode(Substring(piece[..<(equals ?? piece.endIndex)]), plusIsSpace: true) else {
        return nil
      }
      guard let equals else {
        items.append(.init(name, ""))
        continue
      }
      guard let value = decode(Substring(piece[piece.index(after: equals)...]), plusIsSpace: true) else {
        return nil
      }
      items.append(.init(name, value))
    }
    return items
  }

  private static func decode(_ text: Substring, plusIsSpace: Bool) -> String? {
    let plain = text.utf8.allSatisfy { $0 != UInt8(ascii: "%") && !(plusIsSpace && $0 == UInt8(ascii: "+")) }
    if plain { return String(text) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var rest = text.utf8.makeIterator()
    while let byte = rest.next() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = rest.next().flatMap(nibble), let low = rest.next().flatMap(nibble) else {
          return nil
        }
        guard high | low != 0 else { return nil }
        bytes.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
      default: bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func nibble(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }
}
