/// Why there is no answer. No description holds the address or anything of the request: addresses may be signed.
public enum HTTPClientError: Error, Equatable, CustomStringConvertible {
  /// Not an `http` or `https` address.
  case invalidURL
  /// A method or header field that may not be sent (a line break).
  case invalidRequest
  /// The host is not known or does not take the connection.
  case cannotConnect(String)
  /// The time was over; the server may have acted.
  case timeout
  /// The connection broke before the whole answer; the server may have acted.
  case connectionLost(String)
  /// The answer was longer than the configuration allows.
  case responseTooLarge
  /// The client was shut down.
  case clientShutDown
  /// Anything else, in libcurl's words.
  case failed(String)

  /// In words.
  public var description: String {
    switch self {
    case .invalidURL: "the address is not an http or https URL"
    case .invalidRequest: "the method or a header field may not be sent"
    case .cannotConnect(let reason): "cannot connect: \(reason)"
    case .timeout: "no answer in time"
    case .connectionLost(let reason): "the connection was lost: \(reason)"
    case .responseTooLarge: "the answer is too large"
    case .clientShutDown: "the HTTP client has been shut down"
    case .failed(let reason): "the request failed: \(reason)"
    }
  }
}
