import HTTP
import Wire

/// An error as clients see it (RFC 9457), with the extension members that the contract adds.
public struct Problem: Error, Sendable {
  /// The HTTP status.
  public let status: Int
  /// What is wrong and what to do about it.
  public let detail: String
  /// Each fault of a bad body.
  public let errors: [JSONFault]
  /// Headers that go with it, such as `Retry-After`.
  public let headers: [(String, String)]

  public init(_ status: Int, _ detail: String, errors: [JSONFault] = [], headers: [(String, String)] = []) {
    self.status = status
    self.detail = detail
    self.errors = errors
    self.headers = headers
  }

  public static func badRequest(_ detail: String) -> Problem { Problem(400, detail) }
  public static let unauthorized = Problem(
    401, "A valid API key is needed: send it as X-API-Key or as Authorization: Bearer.",
    headers: [("WWW-Authenticate", "Bearer")])
  public static func forbidden(_ needed: String) -> Problem { Problem(403, "This needs \(needed).") }
  /// Also for another organisation's object: exactly as if it did not exist.
  public static func notFound(_ what: String) -> Problem { Problem(404, "There is no such \(what).") }
  public static func conflict(_ detail: String) -> Problem { Problem(409, detail) }
  public static func unprocessable(_ faults: [JSONFault]) -> Problem {
    Problem(422, "The body does not fit: see errors.", errors: faults)
  }
  /// Something that the service needs is away; the client may try again.
  public static func unavailable(_ what: String) -> Problem {
    Problem(503, "\(what) Try again shortly.", headers: [("Retry-After", "1")])
  }

  /// The same with other pointers, for a surface that names fields in another way.
  public func renaming(_ pointers: [String: String]) -> Problem {
    Problem(
      status, detail,
      errors: errors.map { JSONFault(pointer: pointers[$0.pointer] ?? $0.pointer, message: $0.message) },
      headers: headers)
  }

  /// The answer.
  public var response: HTTPResponse {
    let body: JSON = .compact([
      "type": "about:blank", "title": .string(Self.title(status)), "status": .int(Int64(status)),
      "detail": .string(detail), "code": .int(Int64(status)), "message": .string(detail),
      "errors": errors.isEmpty
        ? nil : .array(errors.map { ["pointer": .string($0.pointer), "message": .string($0.message)] }),
    ])
    var response = HTTPResponse(status: status, body: .bytes(body.bytes))
    response.headers["Content-Type"] = "application/problem+json"
    for (name, value) in headers { response.headers[name] = value }
    return response
  }

  /// The status's reason phrase (RFC 9110).
  static func title(_ status: Int) -> String {
    switch status {
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 409: "Conflict"
    case 412: "Precondition Failed"
    case 413: "Content Too Large"
    case 415: "Unsupported Media Type"
    case 422: "Unprocessable Content"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 503: "Service Unavailable"
    default: "Error"
    }
  }
}
