/// Routes requests by verb and path template; a value, built once and then only read.
///
/// Templates are like `device/id/{id}`: a literal segment wins over a parameter, and a parameter never matches an
/// empty segment. `Context` is whatever the caller gives its handlers besides the request (who asks, a logger).
public struct Router<Context: Sendable>: Sendable {
  /// Answers one route's requests.
  public typealias Handler = @Sendable (HTTPRequest, Context) async throws -> HTTPResponse

  /// What there is for a verb and a path.
  public enum Match: Sendable {
    /// The handler, what stands in the parameters' places, and the template, for logs and metrics.
    case found(Handler, parameters: [String: String], template: String)
    /// The path is known, with these verbs.
    case methodNotAllowed(allowed: [HTTPMethod])
    /// No template fits the path.
    case notFound
  }

  struct Route: Sendable {
    let method: HTTPMethod
    let template: PathTemplate
    let handler: Handler
  }

  private(set) var table: [Route] = []
  private var trie = RouteTrie()

  /// A router without routes.
  public init() {}

  /// Adds a route for any verb.
  /// - Precondition: the template is well formed, and no other route has the same verb and path.
  public mutating func on(_ method: HTTPMethod, _ path: String, use handler: @escaping Handler) {
    let template = PathTemplate(path)
    let isNew = trie.insert(method, template.segments, route: table.count)
    precondition(isNew, "\(method) \(path) is routed twice")
    table.append(Route(method: method, template: template, handler: handler))
  }

  /// Adds a route; it also answers `HEAD`, unless there is a route for that.
  public mutating func get(_ path: String, use handler: @escaping Handler) { on(.get, path, use: handler) }
  /// Adds a route.
  public mutating func post(_ path: String, use handler: @escaping Handler) { on(.post, path, use: handler) }
  /// Adds a route.
  public mutating func put(_ path: String, use handler: @escaping Handler) { on(.put, path, use: handler) }
  /// Adds a route.
  public mutating func patch(_ path: String, use handler: @escaping Handler) {
    on(.patch, path, use: handler)
  }
  /// Adds a route.
  public mutating func delete(_ path: String, use handler: @escaping Handler) {
    on(.delete, path, use: handler)
  }

  /// Adds the routes that `build` makes, each with `prefix` before its path.
  public mutating func group(_ prefix: String, _ build: (inout Router) throws -> Void) rethrows {
    var inner = Router()
    try build(&inner)
    for route in inner.table {
      on(route.method, "\(prefix)/\(route.template.text)", use: route.handler)
    }
  }

  /// Every route as verb and template, in the order in which they were added.
  public var routes: [(method: HTTPMethod, template: String)] { table.map { ($0.method, $0.template.text) } }

  /// Looks for the route of a verb and a path, split and decoded as in `HTTPRequest.path`.
  public func match(_ method: HTTPMethod, _ path: [String]) -> Match {
    var seen = RouteTrie.Seen()
    guard let index = find(method, path, &seen) else {
      return seen.methods.isEmpty ? .notFound : .methodNotAllowed(allowed: allowed(seen.methods))
    }
    let route = table[index]
    return .found(
      route.handler, parameters: route.template.parameters(in: path), template: route.template.text)
  }

  /// Answers the request: by its route, with 404, with 405, or to `OPTIONS` with 204, the last two with `Allow`.
  public func respond(to request: HTTPRequest, context: Context) async throws -> HTTPResponse {
    switch match(request.method, request.path) {
    case .found(let handler, let parameters, _):
      var request = request
      request.pathParameters = parameters
      return try await handler(request, context)
    case .methodNotAllowed(let allowed):
      let names = allowed.map(\.rawValue).joined(separator: ", ")
      return HTTPResponse(status: request.method == .options ? 204 : 405, headers: ["Allow": names])
    case .notFound: return HTTPResponse(status: 404)
    }
  }

  private func find(_ method: HTTPMethod, _ path: [String], _ seen: inout RouteTrie.Seen) -> Int? {
    if let index = trie.find(method, path, &seen) { return index }
    return method == .head ? trie.find(.get, path, &seen) : nil
  }

  private func allowed(_ methods: [HTTPMethod]) -> [HTTPMethod] {
    var all = Set(methods)
    if all.contains(.get) { all.insert(.head) }
    all.insert(.options)
    return all.sorted { $0.rawValue < $1.rawValue }
  }
}
