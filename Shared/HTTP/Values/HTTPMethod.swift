/// What a request wants done: the verb of its first line.
public enum HTTPMethod: Hashable, Sendable, CustomStringConvertible {
  case get, post, put, patch, delete, head, options
  /// Any other verb, as it was sent.
  case other(String)

  /// The verb with this name; names are case-sensitive, so `get` is `.other("get")`.
  public init(_ name: String) {
    self =
      switch name {
      case "GET": .get
      case "POST": .post
      case "PUT": .put
      case "PATCH": .patch
      case "DELETE": .delete
      case "HEAD": .head
      case "OPTIONS": .options
      default: .other(name)
      }
  }

  /// The verb as it goes over the wire.
  public var rawValue: String {
    switch self {
    case .get: "GET"
    case .post: "POST"
    case .put: "PUT"
    case .patch: "PATCH"
    case .delete: "DELETE"
    case .head: "HEAD"
    case .options: "OPTIONS"
    case .other(let name): name
    }
  }

  /// In words.
  public var description: String { rawValue }
}
