import Crypto
import FoundationEssentials
import Wire

/// What signs addresses of an object store, and knows its own again.
public struct S3Credentials: Sendable {
  /// The longest that S3 lets an address live: a week.
  public static let longest = 604_800

  public let accessKey: String
  public let region: String
  private let secret: String

  public init(accessKey: String, secret: String, region: String) {
    (self.accessKey, self.secret, self.region) = (accessKey, secret, region)
  }

  /// The query of an address that anybody may use until it expires, for this one request.
  /// - Parameters:
  ///   - path: its segments, unescaped.
  ///   - query: what else the address says, unescaped.
  ///   - headers: what has to be sent just so besides `Host`.
  ///   - seconds: for how long it is good, at most a week.
  public func presign(
    _ method: String, host: String, path: [String], query: [(name: String, value: String)] = [],
    headers: [(name: String, value: String)] = [], at now: Date, seconds: Int
  ) -> String {
    let time = SigV4.time(now)
    let scope = SigV4.Scope(day: String(time.prefix(8)), region: region)
    let headers = [("host", host)] + headers.map { ($0.name.lowercased(), $0.value) }
    let query =
      query + [
        ("X-Amz-Algorithm", SigV4.algorithm), ("X-Amz-Credential", "\(accessKey)/\(scope.text)"),
        ("X-Amz-Date", time), ("X-Amz-Expires", "\(min(max(seconds, 1), Self.longest))"),
        ("X-Amz-SignedHeaders", SigV4.names(headers.map(\.0))),
      ]
    let request = SigV4.CanonicalRequest(method: method, path: path, query: query, headers: headers)
    let signature = SigV4.signature(request, at: time, in: scope, secret: secret).hex
    return SigV4.query(query) + "&X-Amz-Signature=\(signature)"
  }

  /// A request that comes with a signed address, as it was sent.
  public struct SignedRequest: Sendable {
    let method: String
    let path: [String]
    let query: [(name: String, value: String)]
    let headers: [(name: String, value: String)]

    /// - Parameters:
    ///   - path: its segments, decoded.
    ///   - query: decoded, in the order in which it was sent.
    public init(
      method: String, path: [String], query: [(name: String, value: String)],
      headers: [(name: String, value: String)]
    ) {
      (self.method, self.path, self.query) = (method, path, query)
      self.headers = headers.map { ($0.name.lowercased(), $0.value) }
    }

    func parameter(_ name: String) throws(S3Refusal) -> String {
      let values = query.filter { $0.name == name }
      guard values.count == 1 else { throw .missingParameter(name) }
      return values[0].value
    }
  }

  /// Lets a request through that this has signed, and that is not over.
  /// - Returns: the names of the signed headers, in lower case.
  /// - Throws: as S3 would refuse it.
  public func verify(_ request: SignedRequest, at now: Date) throws(S3Refusal) -> Set<String> {
    guard try request.parameter("X-Amz-Algorithm") == SigV4.algorithm else {
      throw .badParameter("X-Amz-Algorithm")
    }
    let credential = try request.parameter("X-Amz-Credential")
    guard let slash = credential.firstIndex(of: "/"),
      let scope = SigV4.Scope(credential[credential.index(after: slash)...])
    else { throw .badParameter("X-Amz-Credential") }
    let time = try request.parameter("X-Amz-Date")
    guard let signedAt = SigV4.date(time), time.hasPrefix(scope.day) else {
      throw .badParameter("X-Amz-Date")
    }
    guard let seconds = Int(try request.parameter("X-Amz-Expires")), (1...Self.longest).contains(seconds)
    else {
      throw .badParameter("X-Amz-Expires")
    }
    let signed = Set(try request.parameter("X-Amz-SignedHeaders").split(separator: ";").map(String.init))
    let given = try request.parameter("X-Amz-Signature")
    guard signed.contains("host") else { throw .unsignedHeaders(["host"]) }
    guard credential[..<slash] == accessKey, scope.region == region else { throw .unknownKey }

    // Each signed header as often as it stands there: one that is missing or doubled has another signature.
    let headers = signed.map { name in
      (name: name, value: request.headers.filter { $0.name == name }.map(\.value).joined(separator: ","))
    }
    let canonical = SigV4.CanonicalRequest(
      method: request.method, path: request.path,
      query: request.query.filter { $0.name != "X-Amz-Signature" },
      headers: headers)
    let expected = SigV4.signature(canonical, at: time, in: scope, secret: secret)
    guard constantTimeEqual(Array(given.utf8), Array(expected.hex.utf8)) else { throw .signatureDoesNotMatch }
    // Only of an address of ours is there anything to say about its time.
    guard now < signedAt + Double(seconds) else { throw .expired }
    guard signedAt < now + 900 else { throw .notYet }
    let others = request.headers.map(\.name).filter { $0.hasPrefix("x-amz-") && !signed.contains($0) }
    guard others.isEmpty else { throw .unsignedHeaders(others) }
    return signed
  }
}
