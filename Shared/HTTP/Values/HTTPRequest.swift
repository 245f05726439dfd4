/// One whole request, its body included.
public struct HTTPRequest: Sendable {
  /// What is to be done.
  public var method: HTTPMethod
  /// The target as it was sent, undecoded.
  public let target: String
  /// The target's path, split at `/` and then decoded: `/device/a%2Fb` is `["device", "a/b"]`, `/` is `[]`.
  public let path: [String]
  /// What stands after `?`, decoded.
  public let query: HTTPQuery
  /// The header fields.
  public var headers: HTTPFields
  /// The body, at most as long as the server's configuration lets it be; empty where it is streamed.
  public var body: [UInt8]
  /// The body of a request whose path takes streams (`HTTPServerConfiguration.streamedBodies`): it comes while the handler
  /// reads it.
  public var stream: HTTPBodyReader?
  /// The address of the peer: behind the edge, that of the edge.
  public let remoteAddress: String
  /// What stood in the places of the template's parameters; filled in by the router.
  public var pathParameters: [String: String] = [:]
  /// The target has a bad escape, `%00` or text that is not UTF-8. The server answers such a request itself, so a
  /// handler sees it only in requests made by hand.
  public let hasMalformedTarget: Bool

  /// A request; the path and the query are read from the target.
  public init(
    method: HTTPMethod, target: String, headers: HTTPFields = [:], body: [UInt8] = [],
    remoteAddress: String = ""
  ) {
    let parts = HTTPTarget(target)
    self.method = method
    self.target = target
    path = parts?.path ?? []
    query = parts?.query ?? HTTPQuery()
    self.headers = headers
    self.body = body
    self.remoteAddress = remoteAddress
    hasMalformedTarget = parts == nil
  }
}
