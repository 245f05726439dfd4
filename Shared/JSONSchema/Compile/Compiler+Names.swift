import Wire

// `$id`, `$anchor`, `$dynamicAnchor`, `$schema`: by which names subschemas are known.
extension Compiler {
  static let dialect = "https://json-schema.org/draft/2020-12/schema"

  /// - Returns: the resource that the subschema belongs to: with `$id` one of its own.
  mutating func identify(_ subject: Subject) -> Int {
    if let dialect = text(subject, "$schema"), ![Self.dialect, Self.dialect + "#"].contains(dialect) {
      fail(subject, "$schema", "must be \(Self.dialect): other drafts and dialects are not known")
    }
    let resource = own(subject) ?? subject.resource
    for keyword in ["$anchor", "$dynamicAnchor"] {
      guard let anchor = text(subject, keyword) else { continue }
      guard Self.isAnchor(anchor) else {
        fail(subject, keyword, "must begin with a letter or _, and go on with letters, digits, _ - .")
        continue
      }
      let name = ExactText(anchor)
      if let other = resources[resource].anchors[name], other != subject.node {
        fail(subject, keyword, "names two subschemas \(anchor.clipped)")
      }
      resources[resource].anchors[name] = subject.node
      if keyword == "$dynamicAnchor" { resources[resource].dynamicAnchors[name] = subject.node }
    }
    return resource
  }

  private mutating func own(_ subject: Subject) -> Int? {
    guard let id = text(subject, "$id") else { return nil }
    var uri = URIReference(id)
    guard uri.fragment?.isEmpty ?? true else {
      fail(subject, "$id", "must have no fragment: use $anchor")
      return nil
    }
    uri.fragment = nil
    let base = uri.resolved(against: resources[subject.resource].base)
    let name = ExactText(base.withoutFragment)
    if let other = resourceOfURI[name], resources[other].place != subject.place {
      fail(subject, "$id", "names two subschemas \(base.withoutFragment.clipped)")
      return nil
    }
    resources.append(Resource(base: base, root: .object(subject.object), place: subject.place))
    resourceOfURI[name] = resources.count - 1
    return resources.count - 1
  }

  private static func isAnchor(_ text: String) -> Bool {
    guard let first = text.utf8.first else { return false }
    func isLetter(_ byte: UInt8) -> Bool {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "_")
    }
    return isLetter(first)
      && text.utf8.allSatisfy {
        isLetter($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || "-.".utf8.contains($0)
      }
  }
}
