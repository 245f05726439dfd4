import Crypto
import FoundationEssentials
import Wire

/// AWS Signature Version 4 as S3 has it: what is signed, and with which key. Pure.
///
/// S3 differs from AWS's other services in that each segment of a path is encoded once, and that a body may be left out of the
/// signature.
enum SigV4 {
  static let algorithm = "AWS4-HMAC-SHA256"
  static let unsignedPayload = "UNSIGNED-PAYLOAD"
  private static let termination = "aws4_request"

  /// What a signature is good for: a day, a region and the service.
  struct Scope: Sendable, Equatable {
    /// `20130524`
    let day: String
    let region: String

    var text: String { "\(day)/\(region)/s3/\(termination)" }

    init(day: String, region: String) { (self.day, self.region) = (day, region) }

    /// Reads `20130524/us-east-1/s3/aws4_request`; nil for what is none.
    init?(_ text: Substring) {
      let parts = text.split(separator: "/", omittingEmptySubsequences: false)
      guard parts.count == 4, parts[2] == "s3", parts[3] == termination else { return nil }
      self.init(day: String(parts[0]), region: String(parts[1]))
    }
  }

  /// What of a request is signed.
  struct CanonicalRequest: Sendable {
    let method: String
    /// Undecoded segments, none of them escaped.
    let path: [String]
    /// Without the signature itself; unescaped, in any order.
    let query: [(name: String, value: String)]
    /// Names in lower case, in any order.
    let headers: [(name: String, value: String)]
    var payloadHash = SigV4.unsignedPayload

    var text: String {
      let headers = headers.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
      return [
        method, SigV4.path(path), SigV4.query(query),
        headers.map { "\($0.name):\(SigV4.trimmed($0.value))\n" }.joined(),
        SigV4.names(self.headers.map(\.name)),
        payloadHash,
      ].joined(separator: "\n")
    }
  }

  /// The signature of a request: 32 bytes.
  static func signature(_ request: CanonicalRequest, at time: String, in scope: Scope, secret: String)
    -> [UInt8]
  {
    let toSign = [algorithm, time, scope.text, SHA256.hash(request.text).hex].joined(separator: "\n")
    let key = [scope.day, scope.region, "s3", termination].reduce(Array("AWS4\(secret)".utf8)) {
      HMAC.sha256(for: Array($1.utf8), using: $0)
    }
    return HMAC.sha256(for: Array(toSign.utf8), using: key)
  }

  /// The signed headers, as `X-Amz-SignedHeaders` names them.
  static func names(_ names: [String]) -> String {
    names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.joined(separator: ";")
  }

  static func path(_ segments: [String]) -> String { "/" + segments.map(encode).joined(separator: "/") }

  static func query(_ items: [(name: String, value: String)]) -> String {
    items.map { (encode($0.name), encode($0.value)) }.sorted {
      $0.0 == $1.0
        ? $0.1.utf8.lexicographicallyPrecedes($1.1.utf8) : $0.0.utf8.lexicographicallyPrecedes($1.0.utf8)
    }.map { "\($0)=\($1)" }.joined(separator: "&")
  }

  /// `20130524T000000Z`
  static func time(_ date: Date) -> String {
    String(date.rfc3339.prefix(19).filter { $0 != "-" && $0 != ":" }) + "Z"
  }

  /// Reads `20130524T000000Z`; nil for what is none.
  static func date(_ text: String) -> Date? {
    let bytes = Array(text.utf8)
    guard bytes.count == 16, bytes[8] == UInt8(ascii: "T"), bytes[15] == UInt8(ascii: "Z") else { return nil }
    func part(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
    return Date(
      rfc3339:
        "\(part(0..<4))-\(part(4..<6))-\(part(6..<8))T\(part(9..<11)):\(part(11..<13)):\(part(13..<15))Z")
  }

  /// All but the unreserved characters of RFC 3986 as `%XX`.
  private static func encode(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var encoded: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        encoded.append(byte)
      default: encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: encoded, as: UTF8.self)
  }

  /// Without blanks around it, and with one where there were several.
  private static func trimmed(_ value: String) -> String {
    value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
  }
}
