/// Why the server answers a request itself, before any handler sees it.
public enum HTTPRefusal: Sendable, Equatable, CaseIterable {
  /// The body is longer than the configuration allows: 413.
  case bodyTooLarge
  /// The head is longer than the configuration allows: 431.
  case headersTooLarge
  /// Both `Content-Length` and `Transfer-Encoding`, or one of them twice: two readers could see two different
  /// requests in these bytes (request smuggling): 400.
  case lengthAndTransferEncoding
  /// A transfer encoding other than `chunked`: 400, since it is no fault of the server (RFC 9112 suggests 501).
  case unsupportedTransferEncoding
  /// A field name with characters that may not stand there, or no `Host` or more than one: 400.
  case malformedHeader
  /// A bad escape, `%00`, or text that is not UTF-8 in the target: 400.
  case malformedTarget
  /// More requests in flight than the configuration allows: 503.
  case tooManyRequests
  /// The server stops and the handler was not done in time: 503.
  case shuttingDown

  /// The status that fits.
  public var status: Int {
    switch self {
    case .bodyTooLarge: 413
    case .headersTooLarge: 431
    case .lengthAndTransferEncoding, .malformedHeader, .malformedTarget, .unsupportedTransferEncoding: 400
    case .tooManyRequests, .shuttingDown: 503
    }
  }

  /// One sentence for the client.
  public var detail: String {
    switch self {
    case .bodyTooLarge: "The request body is too large."
    case .headersTooLarge: "The request's header fields are too large."
    case .lengthAndTransferEncoding: "The length of the request body is given more than once."
    case .unsupportedTransferEncoding: "The only transfer encoding understood is chunked."
    case .malformedHeader: "A header field's name is malformed, or Host is missing or repeated."
    case .malformedTarget: "The request target has a bad percent-escape or is not UTF-8."
    case .tooManyRequests: "Too many requests are being handled; try again in a moment."
    case .shuttingDown: "The server is shutting down; try again in a moment."
    }
  }

  /// The detail as plain text: what a server answers unless it was given something better.
  public var plainResponse: HTTPResponse { .text(detail + "\n", status: status) }
}
