import FoundationEssentials
import HTTP
import Observability
import Postgres
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

/// Whether a request that is still being answered may go on.
public struct Standing: Sendable {
  /// From then on its key is dead.
  public let expiresAt: Date?
  /// Whether its key is what it was. Throws when that cannot be asked now.
  public let isGood: @Sendable () async throws -> Bool

  public init(expiresAt: Date?, isGood: @escaping @Sendable () async throws -> Bool) {
    (self.expiresAt, self.isGood) = (expiresAt, isGood)
  }
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

  /// A route without a key whose requests prove by themselves that they may: its handler looks at their signature.
  public mutating func signed(_ method: HTTPMethod, _ path: String, _ use: @escaping OpenHandler) {
    add(method, path, use)
  }

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
  /// A route whose answer goes on for as long as its reader likes, and its key is good.
  public mutating func stream(
    _ path: String, _ access: Access,
    _ use: @escaping @Sendable (HTTPRequest, RequestContext, Standing) async throws -> HTTPResponse
  ) {
    add(.get, path) { [authenticator] request, context in
      let key = try await Self.admit(request, access, authenticator)
      let standing = Standing(expiresAt: key.expiresAt) {
        try await authenticator?.principal(for: request) == key.principal
      }
      return try await use(request, RequestContext(principal: key.principal, context), standing)
    }
  }
  public mutating func delete(_ path: String, _ access: Access, _ use: @escaping Handler) {
    on(.delete, path, access, use)
  }

  private mutating func on(_ method: HTTPMethod, _ path: String, _ access: Access, _ use: @escaping Handler) {
    add(method, path) { [authenticator] request, context in
      let principal = try await Self.admit(request, access, authenticator).principal
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
  ) async throws -> StoredKey {
    guard let key = try await authenticator?.key(for: request) else { throw Problem.unauthorized }
    switch access {
    case .role(let needed):
      if key.principal.role < needed {
        throw Problem.forbidden("a key with the role \(needed.rawValue) or higher")
      }
    case .root: if key.principal != .root { throw Problem.forbidden("the root key") }
    }
    return key
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
    // Whoever has a signed address may use it: it stands in no log.
    let target =
      request.query["X-Amz-Signature"] == nil
      ? request.target : String(request.target.prefix { $0 != "?" })
    // Not ready is an answer to a question, not a failure.
    if response.status >= 500, request.path != ["readyz"] {
      logger.error(
        "answered \(response.status)", ["method": request.method.rawValue, "target": target])
    } else {
      logger.debug(
        "answered \(response.status)", ["method": request.method.rawValue, "target": target])
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
    // A number in a body that PostgreSQL cannot keep (`JSON.isKept`).
    if let refused = error as? PostgresError, refused.code == "22003" {
      return Problem(422, "The body has a number that cannot be kept.")
    }
    logger.error("request failed", ["error": "\(error)", "target": request.target])
    return Problem(500, "The service failed to answer; the trace id in traceparent leads to its log.")
  }
}
