import FoundationEssentials
import HTTP
import Wire

/// What a request asks of the object that it is about, before anything is done (RFC 9110, section 13): `If-Match` and
/// `If-None-Match`, each `*` or a list of entity tags.
public struct Precondition: Sendable {
  /// Which entity tags a header names.
  private enum Tags {
    case any
    case listed([EntityTag])
  }

  private let match: Tags?
  private let noneMatch: Tags?

  /// Asks nothing: for what no request is about.
  public static let none = Precondition(match: nil, noneMatch: nil)

  private init(match: Tags?, noneMatch: Tags?) { (self.match, self.noneMatch) = (match, noneMatch) }

  /// - Throws: 400 for a header that is neither `*` nor a list of entity tags.
  public init(_ request: HTTPRequest) throws {
    match = try Self.read("If-Match", request)
    noneMatch = try Self.read("If-None-Match", request)
  }

  /// For a request that changes something.
  /// - Parameter current: the object's entity tag; nil if there is none yet.
  /// - Throws: 412.
  public func check(_ current: String?) throws {
    let current = current.flatMap { EntityTag.list($0)?.first }
    if let match, !Self.isMatch(match, current) {
      // Proxies that compress weaken what they pass on.
      throw Problem(
        412,
        Self.isNoneMatch(match, current)
          ? "If-Match has the ETag as a weak one (W/…), and only strong ones are compared: send it without the W/."
          : "It has changed meanwhile: read it again, and send its ETag as If-Match.")
    }
    if let noneMatch, Self.isNoneMatch(noneMatch, current) {
      throw Problem(412, "There is one already that If-None-Match names.")
    }
  }

  /// For a request that reads: 412, 304, or the answer as it is.
  public func answer(_ response: HTTPResponse) throws -> HTTPResponse {
    guard response.status == 200, let tag = response.headers["ETag"],
      let current = EntityTag.list(tag)?.first
    else { return response }
    if let match, !Self.isMatch(match, current) { throw Problem(412, "It has another ETag.") }
    guard let noneMatch, Self.isNoneMatch(noneMatch, current) else { return response }
    return HTTPResponse(status: 304, headers: ["ETag": tag])
  }

  /// The entity tag of an object's revision. The record's id is in it, since revisions begin anew with one that is made
  /// again under the same name.
  public static func tag(_ id: UUID, rev: Int64) -> String {
    "\"\(rev)-\(String(id.text.fnv1a(), radix: 36))\""
  }

  /// Compared strongly: a weak tag is equal to none.
  private static func isMatch(_ tags: Tags, _ current: EntityTag?) -> Bool {
    guard let current else { return false }
    switch tags {
    case .any: return true
    case .listed(let tags): return tags.contains { !$0.isWeak && !current.isWeak && $0.text == current.text }
    }
  }

  /// Compared weakly.
  private static func isNoneMatch(_ tags: Tags, _ current: EntityTag?) -> Bool {
    guard let current else { return false }
    switch tags {
    case .any: return true
    case .listed(let tags): return tags.contains { $0.text == current.text }
    }
  }

  private static func read(_ name: String, _ request: HTTPRequest) throws -> Tags? {
    guard request.headers[name] != nil else { return nil }
    let text = request.headers.values(name).joined(separator: ",")
    if text.allSatisfy({ $0 == "*" || $0 == " " }), text.contains("*") { return .any }
    guard let tags = EntityTag.list(text), !tags.isEmpty else {
      throw Problem.badRequest("\(name) must be * or entity tags in quotes, such as \"1\", W/\"2\".")
    }
    return .listed(tags)
  }
}

/// An entity tag (RFC 9110, section 8.8.3).
struct EntityTag: Equatable {
  let text: String
  let isWeak: Bool

  /// Reads a list of them; the text within the quotes may hold commas.
  /// - Returns: nil for what is no such list.
  static func list(_ text: String) -> [EntityTag]? {
    var tags: [EntityTag] = []
    var rest = Substring(text)
    while true {
      rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," }
      if rest.isEmpty { return tags }
      let isWeak = rest.hasPrefix("W/")
      if isWeak { rest = rest.dropFirst(2) }
      guard rest.first == "\"" else { return nil }
      rest = rest.dropFirst()
      guard let end = rest.firstIndex(of: "\"") else { return nil }
      tags.append(EntityTag(text: String(rest[..<end]), isWeak: isWeak))
      rest = rest[rest.index(after: end)...].drop { $0 == " " || $0 == "\t" }
      guard rest.isEmpty || rest.first == "," else { return nil }
    }
  }
}
