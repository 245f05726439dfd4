/// What a response carries after its head.
public enum HTTPBody: Sendable {
  /// Nothing.
  case empty
  /// These bytes, with their `Content-Length`.
  case bytes([UInt8])
  /// Whatever the producer writes, as fast as the client takes it: chunked, unless its length is known.
  case stream(HTTPStream)
}

/// A body that is made while it is sent.
public struct HTTPStream: Sendable {
  /// An endless stream, such as server-sent events, is ended by the server's shutdown at once; another one gets
  /// the drain time to come to its end.
  public let isEndless: Bool
  /// How many bytes the producer writes, where that is known before.
  public let length: Int?
  let produce: @Sendable (HTTPBodyWriter) async throws -> Void

  /// - Parameters:
  ///   - isEndless: see above.
  ///   - length: goes out as `Content-Length`; a body that ends before breaks the connection.
  ///   - produce: writes the body. The body ends when it returns; when it throws, the connection is broken, so that
  ///     the client cannot take a part for the whole. Its task is cancelled when the client goes away.
  public init(
    isEndless: Bool, length: Int? = nil, produce: @escaping @Sendable (HTTPBodyWriter) async throws -> Void
  ) {
    self.isEndless = isEndless
    self.length = length
    self.produce = produce
  }
}

/// An answer to a request.
public struct HTTPResponse: Sendable {
  /// The status code, 200 to 599.
  public var status: Int
  /// Header fields. `Date`, `Content-Length` and `Transfer-Encoding` are the server's own work and ignored here; a
  /// name or value that may not stand in a header (a line break) turns the response into a 500.
  public var headers: HTTPFields
  /// What follows the head; not sent in answer to `HEAD`, nor with 204 and 304.
  public var body: HTTPBody

  /// A response.
  public init(status: Int = 200, headers: HTTPFields = [:], body: HTTPBody = .empty) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// A response with these bytes.
  public init(status: Int = 200, headers: HTTPFields = [:], body: [UInt8]) {
    self.init(status: status, headers: headers, body: body.isEmpty ? .empty : .bytes(body))
  }

  /// A response with plain text.
  public static func text(_ text: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(
      status: status, headers: ["Content-Type": "text/plain; charset=utf-8"], body: .bytes(Array(text.utf8)))
  }

  /// A response whose body is written bit by bit; see `HTTPStream`.
  public static func stream(
    status: Int = 200, _ headers: HTTPFields, isEndless: Bool = true, length: Int? = nil,
    _ produce: @escaping @Sendable (HTTPBodyWriter) async throws -> Void
  ) -> HTTPResponse {
    HTTPResponse(
      status: status, headers: headers,
      body: .stream(HTTPStream(isEndless: isEndless, length: length, produce: produce)))
  }
}
