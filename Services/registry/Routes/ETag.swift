import HTTP
import Runtime
import Wire

// The ETag of an object is its revision.
extension HTTPResponse {
  /// An object with its ETag.
  static func object(_ json: JSON, rev: Int64, status: Int = 200) -> HTTPResponse {
    var response = HTTPResponse.json(json, status: status)
    response.headers["ETag"] = "\"\(rev)\""
    return response
  }

  /// Done, with nothing to say.
  static var noContent: HTTPResponse { HTTPResponse(status: 204) }
}

extension HTTPRequest {
  /// `If-Match`: a list of ETags, or `*`. One that is none of ours, or a weak one, fits nothing.
  var precondition: Precondition {
    let tags = headers.values("If-Match")
      .flatMap { $0.filter { $0 != " " }.split(separator: ",").map(String.init) }
    if tags.isEmpty || tags.contains("*") { return .none }
    return Precondition(
      revisions: tags.compactMap { tag in
        guard tag.count > 2, tag.hasPrefix("\""), tag.hasSuffix("\"") else { return nil }
        return Int64(tag.dropFirst().dropLast())
      })
  }
}
