import FoundationEssentials
import Wire

// How a client's body changes a document that there is: the new document is then read like one that is created, so
// that both have the same rules and the same pointers.
extension JSON {
  /// The document after a PUT: a member that is given replaces the one there was, null removes it, what is left out
  /// stays.
  func replacing(with body: JSON) -> JSON {
    guard case .object(var document) = self, let changes = body.object else { return body }
    document.apply(changes) { _, new in new == .null ? .none : new }
    return .object(document)
  }

  /// The document after a PATCH: JSON Merge Patch (RFC 7396).
  func merged(with patch: JSON) -> JSON {
    guard let changes = patch.object else { return patch }
    var document = object ?? JSONObject()
    document.apply(changes) { old, new in new == .null ? .none : (old ?? .null).merged(with: new) }
    return .object(document)
  }

  /// Whether two documents of one object differ in nothing but the time of the last change: then there was none.
  func isSame(as other: JSON) -> Bool {
    guard case .object(var document) = self, case .object(var other) = other else { return self == other }
    (document["updatedAt"], other["updatedAt"]) = (nil, nil)
    return document == other
  }
}

/// What the API shows as a document and a PUT changes member by member.
protocol Document {
  var json: JSON { get }
}

extension Document {
  /// What a PUT makes of it; itself, with its `rev`, if nothing changes.
  /// - Parameters:
  ///   - fixed: members that a client may send back as it got them, but not change.
  ///   - read: makes the changed one of the document that the body has changed.
  func replaced(
    by body: JSON, fixed: [String] = ["id", "createdAt", "organisationId"],
    _ read: (inout JSONFields) -> Self
  ) throws(JSONFaults) -> Self {
    var fields = JSONFields(json.replacing(with: body))
    fields.fixed(fixed, as: json)
    let changed = read(&fields)
    try fields.finish()
    return changed.json.isSame(as: json) ? self : changed
  }
}

extension JSONObject {
  /// What is null is as good as left out.
  var withoutNulls: JSONObject {
    JSONObject(members.filter { $0.value != .null }.map { Named(name: $0.name, value: $0.value) })
  }
}

extension JSONFields {
  /// Members that a client may send back as it got them, but not change.
  mutating func fixed(_ names: [String], as document: JSON) {
    // What is no object has its fault already.
    guard faults.isEmpty else { return }
    for name in names where optional(name, .any) != document[name] { fail(name, "cannot be changed") }
    _ = optional("updatedAt", .any)
  }
}
