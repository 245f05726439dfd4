import FoundationEssentials
import HTTP
import Runtime
import Wire

// Lists of the registry (SPEC, section 1): a bare array, the next page in `Link`, the number of all in
// `X-Total-Count`.
extension HTTPRequest {
  /// `limit`, and `offset` or `cursor`; every other parameter that the list does not know is refused.
  /// - Parameters:
  ///   - names: the list's filters.
  ///   - prefixes: beginnings of such.
  func page(_ context: RequestContext, filters names: [String] = [], prefixes: [String] = []) throws
    -> PageRequest
  {
    try allow(query: names + ["offset"], prefixes: prefixes)
    var page = PageRequest()
    page.list = list(context)
    page.limit = try int("limit", default: 100, in: 1...1000)
    page.offset = try int("offset", default: 0, in: 0...Int(Int32.max))
    guard let text = query["cursor"] else { return page }
    if page.offset > 0 { throw Problem.badRequest("Give either offset or cursor.") }
    let values = try Cursor(text, count: 3).values
    guard let after = UUID(text: values[0]), let total = Int64(values[1]), total >= 0, values[2] == page.list
    else { throw Cursor.unknown }
    (page.after, page.total) = (after, total)
    return page
  }

  /// Tells this list, with its filters and for whom it is, from others.
  private func list(_ context: RequestContext) -> String {
    let filters = query.items.filter { !["limit", "offset", "cursor"].contains($0.name) }
      .map { "\(Self.escape($0.name))=\(Self.escape($0.value))" }.sorted()
    let whose = context.principal.organisationId?.text ?? "root"
    let text = ([whose, path.map(Self.escape).joined(separator: "/")] + filters).joined(separator: "&")
    return String(text.fnv1a(), radix: 36)
  }

  /// This request's address with another cursor.
  fileprivate func address(cursor: String) -> String {
    let kept = query.items.filter { $0.name != "cursor" && $0.name != "offset" }
    let items = (kept + [HTTPQuery.Item("cursor", cursor)])
      .map { "\(Self.escape($0.name))=\(Self.escape($0.value))" }
    return "/" + path.map(Self.escape).joined(separator: "/") + "?" + items.joined(separator: "&")
  }

  private static func escape(_ text: String) -> String {
    text.utf8.reduce(into: "") { escaped, byte in
      let character = Character(UnicodeScalar(byte))
      let isPlain = byte < 0x80 && (character.isLetter || character.isNumber || "-._~".contains(character))
      escaped += isPlain ? String(character) : "%" + CollectionOfOne(byte).hex.uppercased()
    }
  }
}

extension HTTPResponse {
  /// One page of a list.
  static func list<Item>(
    _ page: Page<Item>, of request: HTTPRequest, _ encode: (Item) -> JSON
  ) -> HTTPResponse {
    var response = HTTPResponse.json(.array(page.items.map(encode)))
    response.headers["X-Total-Count"] = "\(page.total)"
    if let next = page.next {
      let cursor = Cursor([next.text, "\(page.total)", page.list]).text
      response.headers["Link"] = "<\(request.address(cursor: cursor))>; rel=\"next\""
    }
    return response
  }
}
