import HTTP
import Observability
import Wire

/// Who may use a route.
public enum Access: Sendable {
  /// A key of at least that role; root always.
  case role(Role)
  /// The root key only.
  case root

  public static let viewer = Access.role(.viewer)
  public static let `operator` = Access.role(.operator)
  public static let admin = Access.role(.admin)
}

/// A service's HTTP API: its routes, each with who may use it, and what all of them share: the key, the trace, the
/// errors, the metrics.
public struct API: Sendable {
  /// What a route does.
  public typealias Handler = @Sendable (HTTPRequest, RequestContext) async throws -> HTTPResponse
  /// What a route does that anyone may use, without a key: nobody is known to it.
  public typealias OpenHandler = @Sendable (HTTPRequest, OpenContext) async throws -> HTTPResponse

  private var router = Router<OpenContext>()
  private let authenticator: Authenticator?
  private let logger: Logger
  private let metrics: Metrics

  /// - Parameter authenticator: nil for a service whose routes are all open.
  public init(authenticator: Authenticator?, logger: Logger, metrics: Metrics) {
    self.authenticator = authenticator
    self.logger = logger
    self.metrics = metrics
  }

  /// Every route as verb and template, for tests that hold the description of the API against it.
  public var routes: [(method: HTTPMethod, template: String)] { router.routes }

  /// A route that anyone may read, without a key.
  public mutating func open(_ path: String, _ use: @escaping OpenHandler) { add(.get, path, use) }

  public mutating func get(_ path: String, _ access: Access, _ use: @escaping Handler) {
    on(.get, path, access, use)
  }
  public mutating func post(_ path: String, _ access: Access, _ use: @escaping Handler) {
    on(.post, path, access, use)
  }
  public mutating func put(_ path: String, _ access: Access, _ use: @escaping Handler) {
    on(.put, path, access, use)
  }
  public mutating func patch(_ path: String, _ access: Access, _ use: @escaping Handler) {
    on(.patch, path, access, use)
  }
  public mutating func delete(_ path: String, _ access: Access, _ use: @escaping Handler) {
    on(.delete, path, access, use)
  }

  private mutating func on(_ method: HTTPMethod, _ path: String, _ access: Access, _ use: @escaping Handler) {
    add(method, path) { [authenticator] request, context in
      let principal = try await Self.admit(request, access, authenticator)
      let response = try await use(request, RequestContext(principal: principal, context))
      return method == .get ? try Precondition(request).answer(response) : response
    }
  }

  private mutating func add(_ method: HTTPMethod, _ path: String, _ use: @escaping OpenHandler) {
    let timer = metrics.timer(
      "martlet_http_request_seconds", help: "How long requests took.",
      labels: [("method", method.rawValue), ("route", "/" + path)])
    router.on(method, path) { request, context in
      let start = ContinuousClock.now
      defer { timer.record(ContinuousClock.now - start) }
      return try await use(request, context)
    }
  }

  private static func admit(
    _ request: HTTPRequest, _ access: Access, _ authenticator: Authenticator?
  ) async throws -> Principal {
    guard let principal = try await authenticator?.principal(for: request) else { throw Problem.unauthorized }
    switch access {
    case .role(let needed):
      if principal.role < needed {
        throw Problem.forbidden("a key with the role \(needed.rawValue) or higher")
      }
    case .root: if principal != .root { throw Problem.forbidden("the root key") }
    }
    return principal
  }

  /// Answers one request; never throws and never takes the connection down.
  public func respond(to request: HTTPRequest) async -> HTTPResponse {
    let trace =
      request.headers["traceparent"].flatMap { TraceContext(traceparent: $0) }?.child() ?? TraceContext()
    let logger = logger.with(["trace": trace.traceId])
    let context = OpenContext(trace: trace, logger: logger)
    var response: HTTPResponse
    do {
      response = try await routed(request, context)
    } catch let earlier as EarlierAnswer {
      await earlier.settled()
      response = earlier.response
    } catch let problem as Problem {
      response = problem.response
    } catch {
      response = failure(error, request, logger).response
    }
    response.headers["traceparent"] = trace.traceparent
    // Not ready is an answer to a question, not a failure.
    if response.status >= 500, request.path != ["readyz"] {
      logger.error(
        "answered \(response.status)", ["method": request.method.rawValue, "target": request.target])
    } else {
      logger.debug(
        "answered \(response.status)", ["method": request.method.rawValue, "target": request.target])
    }
    return response
  }

  private func routed(_ request: HTTPRequest, _ context: OpenContext) async throws -> HTTPResponse {
    switch router.match(request.method, request.path) {
    case .found(let handler, let parameters, _):
      var request = request
      request.pathParameters = parameters
      return try await handler(request, context)
    case .methodNotAllowed(let allowed):
      let names = allowed.map(\.rawValue).joined(separator: ", ")
      if request.method == .options { return HTTPResponse(status: 204, headers: ["Allow": names]) }
      throw Problem(405, "This path takes \(names).", headers: [("Allow", names)])
    case .notFound: throw Problem(404, "There is no such path.")
    }
  }

  /// What a client sees of an error that nobody meant for it: no detail of ours.
  private func failure(_ error: any Error, _ request: HTTPRequest, _ logger: Logger) -> Problem {
    if let away = error as? any TemporaryError, away.isTemporary {
      logger.warning("away for now", ["error": "\(error)", "target": request.target])
      return .unavailable("A part of the service is not reachable at the moment.")
    }
    logger.error("request failed", ["error": "\(error)", "target": request.target])
    return Problem(500, "The service failed to answer; the trace id in traceparent leads to its log.")
  }
}
