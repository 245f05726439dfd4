/// A path with places for parameters: `device/id/{id}`.
struct PathTemplate: Sendable {
  enum Segment: Sendable, Equatable {
    case literal(String)
    case parameter(String)
  }

  /// With one slash before each segment, however it was written.
  let text: String
  let segments: [Segment]

  /// A template that is not well formed is a mistake in the program, seen at its first start.
  init(_ path: String) {
    let pieces = path.split(separator: "/")
    text = "/" + pieces.joined(separator: "/")
    segments = pieces.map { piece in
      guard piece.hasPrefix("{") else {
        precondition(!piece.contains { "{}".contains($0) }, "\(path): a parameter takes a whole segment")
        return .literal(String(piece))
      }
      let name = piece.dropFirst().dropLast()
      precondition(piece.hasSuffix("}") && !name.isEmpty, "\(path): a parameter is written {name}")
      return .parameter(String(name))
    }
  }

  /// What stands in the parameters' places of a path that fits.
  func parameters(in path: [String]) -> [String: String] {
    var found: [String: String] = [:]
    for (segment, value) in zip(segments, path) {
      if case .parameter(let name) = segment { found[name] = value }
    }
    return found
  }
}
