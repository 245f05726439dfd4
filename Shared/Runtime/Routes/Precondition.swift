import HTTP

/// What a request's `If-Match` asks of the object that it changes (RFC 9110, section 13.1.1).
public struct Precondition: Sendable {
  private let tags: [String]?

  /// No `If-Match`: nothing is asked.
  public init(_ request: HTTPRequest) {
    tags = request.headers["If-Match"].map {
      $0.split(separator: ",").map { String($0.trimming { $0 == " " || $0 == "\t" }) }
    }
  }

  /// - Parameter current: the object's entity tag; nil if there is none yet.
  /// - Throws: 412 if it is another one.
  public func check(_ current: String?) throws {
    guard let tags else { return }
    if let current, tags.contains("*") || tags.contains(current) { return }
    throw Problem(412, "It has changed meanwhile: read it again, and send its ETag as If-Match.")
  }

  /// The entity tag of an object's `rev`.
  public static func tag(rev: Int64) -> String { "\"\(rev)\"" }
}

extension Substring {
  fileprivate func trimming(_ isSpace: (Character) -> Bool) -> Substring {
    var text = drop(while: isSpace)
    while let last = text.last, isSpace(last) { text.removeLast() }
    return text
  }
}
