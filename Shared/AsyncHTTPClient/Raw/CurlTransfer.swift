import CCurl
import HTTP

/// One transfer while libcurl works on it: sets its handle up and gathers the answer. Only on the client's thread.
final class CurlTransfer {
  let transfer: Transfer
  private let limit: Int
  private let easy: UnsafeMutableRawPointer
  private var lines: UnsafeMutablePointer<curl_slist>?
  private var status = 0
  private var headers = HTTPFields()
  private var body: [UInt8] = []
  private var isTooLarge = false

  init(_ transfer: Transfer, _ configuration: HTTPClientConfiguration, _ easy: UnsafeMutableRawPointer) {
    self.transfer = transfer
    self.easy = easy
    limit = configuration.maximumResponseBytes
    setUp(configuration)
    setMethod(transfer.request)
    setHeaders(transfer.request)
    let context = Unmanaged.passUnretained(self).toOpaque()
    _ = martlet_curl_set_write(easy, { CurlTransfer.at($3)?.received($0, $1 * $2) ?? 0 }, context)
    _ = martlet_curl_set_header(easy, { CurlTransfer.at($3)?.receivedLine($0, $1 * $2) ?? 0 }, context)
  }

  deinit { curl_slist_free_all(lines) }

  private func setUp(_ configuration: HTTPClientConfiguration) {
    let request = transfer.request
    _ = martlet_curl_set_string(easy, CURLOPT_URL, request.url)
    _ = martlet_curl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
    _ = martlet_curl_set_long(easy, CURLOPT_NOSIGNAL, 1)
    _ = martlet_curl_set_long(easy, CURLOPT_TCP_NODELAY, 1)
    _ = martlet_curl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    _ = martlet_curl_set_long(easy, CURLOPT_TIMEOUT_MS, request.timeout.milliseconds)
    _ = martlet_curl_set_long(
      easy, CURLOPT_CONNECTTIMEOUT_MS, min(request.timeout, configuration.connectTimeout).milliseconds)
    if !configuration.usesProxyFromEnvironment { _ = martlet_curl_set_string(easy, CURLOPT_PROXY, "") }
  }

  private func setMethod(_ request: ClientRequest) {
    let takesBody = [.post, .put, .patch].contains(request.method)
    if request.method == .head {
      _ = martlet_curl_set_long(easy, CURLOPT_NOBODY, 1)
    } else if request.body != nil || takesBody {
      let bytes = request.body ?? []
      _ = martlet_curl_set_long(easy, CURLOPT_POST, 1)
      _ = martlet_curl_set_long(easy, CURLOPT_POSTFIELDSIZE, bytes.count)
      // Copied: an array's storage has no address that would last as long as the transfer.
      _ =
        bytes.isEmpty
        ? martlet_curl_set_string(easy, CURLOPT_COPYPOSTFIELDS, "")
        : martlet_curl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, bytes)
      _ = martlet_curl_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method.rawValue)
    } else if request.method != .get {
      _ = martlet_curl_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method.rawValue)
    }
  }

  private func setHeaders(_ request: ClientRequest) {
    for field in request.headers {
      // "Name;" is libcurl's way to write a field without a value; "Name:" would take the field away.
      append(field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)")
    }
    // Neither a round trip before a large body nor a content type that nobody chose.
    if request.headers["Expect"] == nil { append("Expect:") }
    if request.headers["Content-Type"] == nil { append("Content-Type:") }
    _ = martlet_curl_set_pointer(easy, CURLOPT_HTTPHEADER, lines)
  }

  private func append(_ line: String) { lines = curl_slist_append(lines, line) ?? lines }

  /// Before the handle is reset.
  func readStatus() { _ = martlet_curl_get_long(easy, CURLINFO_RESPONSE_CODE, &status) }

  func finish(_ code: CURLcode) {
    guard code != CURLE_OK else {
      transfer.finish(.success(HTTPClientResponse(status: status, headers: headers, body: body)))
      return
    }
    transfer.finish(.failure(isTooLarge ? .responseTooLarge : HTTPClientError(code)))
  }
}

/// The callbacks of libcurl.
extension CurlTransfer {
  private static func at(_ context: UnsafeMutableRawPointer?) -> CurlTransfer? {
    context.map { Unmanaged<CurlTransfer>.fromOpaque($0).takeUnretainedValue() }
  }

  private func received(_ start: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
    guard body.count + count <= limit else {
      isTooLarge = true
      return 0
    }
    body.append(contentsOf: UnsafeRawBufferPointer(start: start, count: count))
    return count
  }

  private func receivedLine(_ start: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
    let line = String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self).utf8
    if line.starts(with: "HTTP/".utf8) {
      // Another answer begins, after an interim one.
      headers = HTTPFields()
    } else if let colon = line.firstIndex(of: UInt8(ascii: ":")) {
      headers.append(String(Substring(line[..<colon])), Self.trimmed(line[line.index(after: colon)...]))
    }
    return count
  }

  private static func trimmed(_ value: Substring.UTF8View) -> String {
    let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }
    let start = value.drop(while: isSpace)
    let end = start.lastIndex { !isSpace($0) }.map { start.index(after: $0) } ?? start.startIndex
    return String(Substring(start[..<end]))
  }
}

extension HTTPClientError {
  fileprivate init(_ code: CURLcode) {
    let words = String(cString: curl_easy_strerror(code))
    switch code {
    case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: self = .invalidURL
    case CURLE_OPERATION_TIMEDOUT: self = .timeout
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_SSL_CONNECT_ERROR,
      CURLE_PEER_FAILED_VERIFICATION:
      self = .cannotConnect(words)
    case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE:
      self = .connectionLost(words)
    default: self = .failed(words)
    }
  }
}

extension Duration {
  /// Whole milliseconds, at least 1: libcurl takes 0 for "no limit".
  fileprivate var milliseconds: Int {
    max(1, Int(clamping: components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000))
  }
}
