import FoundationEssentials
import Wire

// How a client's body changes a document that there is: the new document is then read like one that is created, so
// that both have the same rules and the same pointers.
extension JSON {
  /// The document after a PUT: a member that is given replaces the one there was, null removes it, what is left out
  /// stays.
  func replacing(with body: JSON) -> JSON {
    guard case .object(var document) = self, let changes = body.object else { return body }
    for member in changes.members { document[member.name] = member.value == .null ? nil : member.value }
    return .object(document)
  }

  /// The document after a PATCH: JSON Merge Patch (RFC 7396).
  func merged(with patch: JSON) -> JSON {
    guard let changes = patch.object else { return patch }
    var document = object ?? JSONObject()
    for member in changes.members {
      document[member.name] =
        member.value == .null ? nil : (document[member.name] ?? .null).merged(with: member.value)
    }
    return .object(document)
  }
}

extension JSONFields {
  /// Members that a client may send back as it got them, but not change.
  mutating func fixed(_ names: [String], as document: JSON) {
    for name in names where optional(name, .any) != document[name] { fail(name, "cannot be changed") }
    _ = optional("updatedAt", .any)
  }
}
