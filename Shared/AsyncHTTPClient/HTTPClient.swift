import HTTP
import Observability
import Synchronization

/// What a client may take.
public struct HTTPClientConfiguration: Sendable {
  /// Requests under way at a time, each on a connection of its own; more wait for one, and their time-out begins then.
  public var maximumConnections: Int
  /// From the request's start to the end of its answer, unless the call gives another.
  public var timeout: Duration
  /// For the name and the connection.
  public var connectTimeout: Duration
  /// A longer answer fails as `responseTooLarge`.
  public var maximumResponseBytes: Int
  /// Whether `http_proxy` and its relatives count.
  public var usesProxyFromEnvironment: Bool

  /// A configuration; every value has a good default.
  public init(
    maximumConnections: Int = 64, timeout: Duration = .seconds(30),
    connectTimeout: Duration = .seconds(5),
    maximumResponseBytes: Int = 64 << 20, usesProxyFromEnvironment: Bool = false
  ) {
    self.maximumConnections = maximumConnections
    self.timeout = timeout
    self.connectTimeout = connectTimeout
    self.maximumResponseBytes = maximumResponseBytes
    self.usesProxyFromEnvironment = usesProxyFromEnvironment
  }
}

/// A whole answer.
public struct HTTPClientResponse: Sendable {
  /// The status code.
  public let status: Int
  /// The header fields.
  public let headers: HTTPFields
  /// The body.
  public let body: [UInt8]
}

/// Asks other servers, by libcurl, over connections that are kept and used again (HTTP/1.1).
///
/// All transfers of one client share one thread and one epoll, so that hundreds at a time cost little.
public final class HTTPClient: Sendable {
  private let configuration: HTTPClientConfiguration
  private let loop: CurlLoop

  /// A client; its thread lives until `shutdown()` or until the client is let go.
  public init(configuration: HTTPClientConfiguration = HTTPClientConfiguration(), logger: Logger) {
    self.configuration = configuration
    loop = CurlLoop(configuration, logger)
  }

  deinit { loop.stop() }

  /// Sends a request and gives the whole answer, whatever its status. Redirects are not followed.
  ///
  /// Cancelling the task ends the transfer at once; the server may or may not have acted on the request, as with a
  /// time-out or a lost connection.
  /// - Throws: `HTTPClientError`, `CancellationError`.
  public func execute(
    _ method: HTTPMethod, url: String, headers: HTTPFields = [:], body: [UInt8]? = nil,
    timeout: Duration? = nil
  ) async throws -> HTTPClientResponse {
    let request = ClientRequest(
      method: method, url: url, headers: headers, body: body, timeout: timeout ?? configuration.timeout)
    guard request.isSendable else { throw HTTPClientError.invalidRequest }
    let transfer = Transfer(request)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if transfer.begin(continuation) { loop.submit(transfer) }
      }
    } onCancel: {
      if transfer.finish(.failure(CancellationError())) { loop.drop(transfer) }
    }
  }

  /// Ends the transfers that are under way with `clientShutDown`, closes all connections and ends the thread.
  public func shutdown() async {
    loop.stop()
    await loop.ended()
  }
}
