import FoundationEssentials
import HTTP
import Observability
import Wire

/// What is known of a request before anybody has looked at its key, and all that an open route knows: there is no
/// principal in it that could be taken for somebody.
public struct OpenContext: Sendable {
  /// This request's step of the story.
  public let trace: TraceContext
  public let logger: Logger
}

/// What a handler knows beside the request: who asks, and in which story.
public struct RequestContext: Sendable {
  public let principal: Principal
  /// This request's step of the story; pass it on with what the request causes.
  public let trace: TraceContext
  public let logger: Logger

  public init(principal: Principal, trace: TraceContext, logger: Logger) {
    self.principal = principal
    self.trace = trace
    self.logger = logger
  }

  init(principal: Principal, _ open: OpenContext) {
    self.init(principal: principal, trace: open.trace, logger: open.logger)
  }

  /// The organisation to act in: the key's own, or for root the one it names with `?organisationId=`.
  /// - Throws: 400 if root names none; 404 for another organisation than the key's.
  public func organisation(_ request: HTTPRequest) throws -> UUID {
    guard let organisation = try scope(request) else {
      throw Problem.badRequest("The root key belongs to no organisation: name one with ?organisationId=.")
    }
    return organisation
  }

  /// The organisations to look in: the key's own; for root the one it names, or nil for all of them.
  /// - Throws: 404 for another organisation than the key's: what was asked for is not there.
  public func scope(_ request: HTTPRequest) throws -> UUID? {
    let named = try request.optionalID("organisationId")
    guard let own = principal.organisationId else { return named }
    guard named == nil || named == own else { throw Problem.notFound("organisation") }
    return own
  }
}

extension HTTPRequest {
  /// Refuses query parameters that a list does not know, and those given twice: a filter that is passed over shows
  /// more than was asked for. `organisationId`, `limit` and `cursor` go without saying.
  /// - Parameters:
  ///   - prefixes: beginnings of names that a caller chooses.
  ///   - isList: false for what has no pages: then `limit` and `cursor` are refused too.
  /// - Throws: 400 that names the parameter.
  public func allow(query names: [String], prefixes: [String] = [], isList: Bool = true) throws {
    // By their bytes: `é` and `e` with an accent after it are two names.
    var seen: Set<[UInt8]> = []
    for item in query.items {
      guard seen.insert(Array(item.name.utf8)).inserted else {
        throw Problem.badRequest("The query parameter \(item.name) is given more than once.")
      }
      let known = ["organisationId"] + (isList ? ["limit", "cursor"] : []) + names
      guard known.contains(item.name) || prefixes.contains(where: { item.name.utf8.starts(with: $0.utf8) })
      else {
        let list = (known + prefixes.map { $0 + "…" }).joined(separator: ", ")
        throw Problem.badRequest("There is no query parameter \(item.name) here; there are \(list).")
      }
    }
  }

  /// A query parameter that is a record id.
  /// - Throws: 400 for what is none.
  public func optionalID(_ name: String) throws -> UUID? {
    guard let text = query[name] else { return nil }
    guard let id = UUID(text: text) else { throw Problem.badRequest("\(name) must be a UUID.") }
    return id
  }

  /// A query parameter that is true or false.
  public func bool(_ name: String) throws -> Bool? {
    switch query[name] {
    case nil: nil
    case "true": true
    case "false": false
    default: throw Problem.badRequest("\(name) must be true or false.")
    }
  }

  /// A path parameter that is a record id.
  /// - Throws: 404 for what is no UUID: nothing has such an id.
  public func id(_ name: String, of what: String) throws -> UUID {
    guard let text = pathParameters[name], let id = UUID(text: text) else {
      throw Problem.notFound(what)
    }
    return id
  }

  /// A path parameter as text.
  public func parameter(_ name: String) -> String { pathParameters[name] ?? "" }

  /// The body as one JSON value.
  /// - Throws: 415 for another content type, 400 with a pointer for what is not JSON.
  public func json() throws -> JSON {
    // Nearly all say just that, and a search within text is dear.
    if let type = headers["Content-Type"], type != "application/json", !type.lowercased().contains("json") {
      throw Problem(415, "The body must be JSON: send Content-Type: application/json.")
    }
    do throws(JSONError) { return try JSON(parsing: body) } catch {
      throw Problem(
        400, "The body is not valid JSON: \(error.message).",
        errors: [JSONFault(pointer: error.pointer, message: error.message)])
    }
  }

  /// Reads the body's fields; every fault and every unknown field is in the answer's `errors`.
  public func decode<T>(_ body: (inout JSONFields) -> T) throws -> T {
    var fields = JSONFields(try json())
    let value = body(&fields)
    do throws(JSONFaults) { try fields.finish() } catch { throw Problem.unprocessable(error.faults) }
    return value
  }

  /// A query parameter that is a whole number in a range.
  public func int(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws -> Int {
    guard let text = query[name] else { return fallback }
    // Digits only: Int would also take a plus.
    guard text.utf8.allSatisfy({ UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") }), let value = Int(text),
      range.contains(value)
    else {
      throw Problem.badRequest(
        "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound).")
    }
    return value
  }
}

extension HTTPResponse {
  /// A JSON answer.
  public static func json(_ value: JSON, status: Int = 200) -> HTTPResponse {
    var response = HTTPResponse(status: status, body: .bytes(value.bytes))
    response.headers["Content-Type"] = "application/json"
    return response
  }

  /// A page under `/api/v1`, `/devices` and `/commands`.
  public static func page(_ items: [JSON], next: String?) -> HTTPResponse {
    .json(["items": .array(items), "nextCursor": next.map { .string($0) } ?? .null])
  }
}
