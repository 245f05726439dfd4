/// How long a request's body says it is, and whether every reader of these bytes would come to the same answer.
///
/// libmicrohttpd takes the first of several lengths and prefers the transfer encoding: a proxy that decides otherwise
/// would see other requests than we do (RFC 9112, section 11.2).
struct RequestFraming {
  /// What the request is refused for.
  private(set) var fault: HTTPRefusal?
  /// The length, if it is given.
  private(set) var length: Int?
  private var isChunked = false
  private var waitsForContinue = false

  init(_ headers: HTTPFields, isHTTP11: Bool) {
    var (lengths, encodings, hosts) = (0, 0, 0)
    for field in headers {
      if !HTTPFields.isToken(field.name) { fault = fault ?? .malformedHeader }
      switch field.name.utf8.count {
      case 14 where HTTPFields.same(field.name, "Content-Length"):
        lengths += 1
        length = Int(field.value) ?? .max
      case 17 where HTTPFields.same(field.name, "Transfer-Encoding"):
        encodings += 1
        isChunked = HTTPFields.same(field.value, "chunked")
        if !isChunked { fault = fault ?? .unsupportedTransferEncoding }
      case 4 where HTTPFields.same(field.name, "Host"): hosts += 1
      case 6 where HTTPFields.same(field.name, "Expect"): waitsForContinue = true
      default: break
      }
    }
    // The library's own check for a missing Host writes its answer's head twice.
    if hosts > 1 || (hosts == 0 && isHTTP11) { fault = fault ?? .malformedHeader }
    if lengths + encodings > 1 || (encodings > 0 && !isHTTP11) { fault = .lengthAndTransferEncoding }
    if encodings > 0 { length = nil }
  }

  /// Whether the body of a refused request can be read to its end first. A client that waits for `100 Continue` sends
  /// none; an unknown encoding has no end.
  func canBeRead(upTo limit: Int) -> Bool {
    if waitsForContinue || fault == .unsupportedTransferEncoding { return false }
    return isChunked || (length ?? 0) <= limit
  }
}

extension HTTPRefusal {
  /// After these nobody can tell where the next request would begin, or there will be none.
  var endsConnection: Bool {
    switch self {
    case .lengthAndTransferEncoding, .unsupportedTransferEncoding, .malformedHeader, .shuttingDown: true
    case .bodyTooLarge, .headersTooLarge, .malformedTarget, .tooManyRequests: false
    }
  }
}
