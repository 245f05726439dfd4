import FoundationEssentials

/// A bucket of an object store, as those who get signed addresses reach it.
public struct S3Location: Sendable {
  /// `http` or `https`.
  private let scheme: String
  /// With its port, as `Host` has it.
  public let host: String
  /// Before the key, unescaped: what the endpoint's path and the bucket's name come to.
  public let prefix: [String]
  private let credentials: S3Credentials

  /// - Parameters:
  ///   - endpoint: such as `https://s3.eu-central-1.amazonaws.com`, or with a path.
  ///   - isPathStyle: whether the bucket stands in the path; otherwise it stands before the host.
  /// - Returns: nil for what is no such address.
  public init?(endpoint: String, bucket: String, isPathStyle: Bool, credentials: S3Credentials) {
    guard let scheme = ["http://", "https://"].first(where: endpoint.lowercased().hasPrefix) else {
      return nil
    }
    let rest = endpoint.dropFirst(scheme.count).split(separator: "/", omittingEmptySubsequences: true)
    guard let host = rest.first.map(String.init), !host.contains(where: { "?#@ ".contains($0) }),
      !bucket.isEmpty
    else { return nil }
    self.scheme = scheme
    // As clients send it: without the port that goes without saying.
    let usual = scheme == "http://" ? ":80" : ":443"
    let plain = host.hasSuffix(usual) ? String(host.dropLast(usual.count)) : host
    self.host = isPathStyle ? plain : "\(bucket).\(plain)"
    prefix = rest.dropFirst().map(String.init) + (isPathStyle ? [bucket] : [])
    self.credentials = credentials
  }

  /// An address that anybody may use until it expires, for this one request.
  /// - Parameters:
  ///   - key: the object's, its segments.
  ///   - headers: what has to be sent just so.
  public func url(
    _ method: String, _ key: [String], query: [(name: String, value: String)] = [],
    headers: [(name: String, value: String)] = [], at now: Date, seconds: Int
  ) -> String {
    let path = prefix + key
    let query = credentials.presign(
      method, host: host, path: path, query: query, headers: headers, at: now, seconds: seconds)
    return "\(scheme)\(host)\(SigV4.path(path))?\(query)"
  }
}
