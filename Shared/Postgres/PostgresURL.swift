/// The parts of a `postgresql://` URL. Faults are named without repeating any of it: it holds a password.
struct PostgresURL {
  var user = ""
  var password: String?
  var host = "localhost"
  var port = 5432
  var database = ""
  var options: [(String, String)] = []

  private static let allowedOptions: Set<String> = [
    "sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding",
  ]

  static func fault(_ what: String) -> PostgresError {
    PostgresError(.configuration, "the database URL: \(what)")
  }

  init(_ url: String) throws {
    var rest = Substring(url)
    if rest.hasPrefix("postgresql://") {
      rest = rest.dropFirst("postgresql://".count)
    } else if rest.hasPrefix("postgres://") {
      rest = rest.dropFirst("postgres://".count)
    } else {
      throw Self.fault("it has to begin with postgresql://")
    }
    var query: Substring = ""
    if let mark = rest.firstIndex(of: "?") {
      query = rest[rest.index(after: mark)...]
      rest = rest[..<mark]
    }
    var path: Substring = ""
    if let slash = rest.firstIndex(of: "/") {
      path = rest[rest.index(after: slash)...]
      rest = rest[..<slash]
    }
    try readAuthority(rest)
    database = try Self.decoded(path, "database")
    if database.isEmpty { database = user }
    try readOptions(query)
  }

  private mutating func readAuthority(_ text: Substring) throws {
    var address = text
    if let at = text.lastIndex(of: "@") {
      address = text[text.index(after: at)...]
      let login = text[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      user = try Self.decoded(login[0], "user")
      if login.count == 2 { password = try Self.decoded(login[1], "password") }
    }
    guard !user.isEmpty else { throw Self.fault("no user") }
    var portText: Substring?
    if address.hasPrefix("["), let end = address.firstIndex(of: "]") {
      host = String(address[address.index(after: address.startIndex)..<end])
      let after = address[address.index(after: end)...]
      if after.hasPrefix(":") { portText = after.dropFirst() }
    } else {
      let pieces = address.split(separator: ":", omittingEmptySubsequences: false)
      guard pieces.count <= 2 else { throw Self.fault("an IPv6 address has to stand in brackets") }
      if let name = pieces.first, !name.isEmpty { host = try Self.decoded(name, "host") }
      if pieces.count == 2 { portText = pieces[1] }
    }
    guard let portText else { return }
    guard let number = Int(portText), (1...65535).contains(number) else {
      throw Self.fault("the port is no number")
    }
    port = number
  }

  private mutating func readOptions(_ query: Substring) throws {
    for pair in query.split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decoded(parts[0], "option")
      guard parts.count == 2, Self.allowedOptions.contains(name) else {
        throw Self.fault("an unknown option")
      }
      options.append((name, try Self.decoded(parts[1], "option")))
    }
  }

  private static func decoded(_ text: Substring, _ part: String) throws -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else {
        throw fault("a bad percent escape in the \(part)")
      }
      bytes.append(high << 4 | low)
    }
    guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
      throw fault("the \(part) is not UTF-8")
    }
    return text
  }

  private static func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
