import Wire

/// What leads from one JSON value to another: changes as in RFC 6902, in an order in which they can be applied one after the
/// other, each with what stood there before.
public struct ArtefactDiff: Sendable {
  /// The words of RFC 6902.
  public enum Operation: String, Sendable { case add, remove, replace }

  public struct Change: Sendable, Equatable {
    public let op: Operation
    /// JSON Pointer; empty for the whole value.
    public let pointer: String
    public let before: JSON?
    public let after: JSON?
  }

  public private(set) var changes: [Change] = []

  /// The changes from one value to the other; none if they are equal as JSON values.
  ///
  /// Members are matched by name, elements of arrays by their place: an element that is put in front changes all behind it.
  public init(from before: JSON, to after: JSON) { compare(before, after, at: "") }

  private mutating func compare(_ before: JSON, _ after: JSON, at pointer: String) {
    switch (before, after) {
    case (.object(let old), .object(let new)): compare(old, new, at: pointer)
    case (.array(let old), .array(let new)): compare(old, new, at: pointer)
    default:
      guard before != after else { return }
      changes.append(Change(op: .replace, pointer: pointer, before: before, after: after))
    }
  }

  private mutating func compare(_ old: JSONObject, _ new: JSONObject, at pointer: String) {
    let newer = Self.byName(new)
    let older = Self.byName(old)
    for member in old.members {
      let place = "\(pointer)/\(JSONPointer.escape(member.name))"
      if let value = newer[ExactText(member.name)] {
        compare(member.value, value, at: place)
      } else {
        changes.append(Change(op: .remove, pointer: place, before: member.value, after: nil))
      }
    }
    for member in new.members where older[ExactText(member.name)] == nil {
      let place = "\(pointer)/\(JSONPointer.escape(member.name))"
      changes.append(Change(op: .add, pointer: place, before: nil, after: member.value))
    }
  }

  private mutating func compare(_ old: [JSON], _ new: [JSON], at pointer: String) {
    for (index, (before, after)) in zip(old, new).enumerated() {
      compare(before, after, at: "\(pointer)/\(index)")
    }
    // From the end: each place is still there when its turn comes.
    for index in old.indices.dropFirst(new.count).reversed() {
      changes.append(Change(op: .remove, pointer: "\(pointer)/\(index)", before: old[index], after: nil))
    }
    for index in new.indices.dropFirst(old.count) {
      changes.append(Change(op: .add, pointer: "\(pointer)/\(index)", before: nil, after: new[index]))
    }
  }

  private static func byName(_ object: JSONObject) -> [ExactText: JSON] {
    object.members.reduce(into: [:]) { $0[ExactText($1.name)] = $1.value }
  }
}
