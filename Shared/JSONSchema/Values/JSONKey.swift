import Wire

/// A JSON value as JSON Schema compares them: numbers by value (1 is 1.0), text and names by code points, members in any
/// order. Hashed once, so that sets and tables of values cost what their size is.
struct JSONKey: Sendable, Hashable {
  let value: JSON
  private let fingerprint: Int

  init(_ value: JSON) {
    self.value = value
    var hasher = Hasher()
    Self.feed(value, to: &hasher)
    fingerprint = hasher.finalize()
  }

  func hash(into hasher: inout Hasher) { hasher.combine(fingerprint) }

  static func == (a: JSONKey, b: JSONKey) -> Bool {
    a.fingerprint == b.fingerprint && isEqual(a.value, b.value)
  }

  private static func isEqual(_ a: JSON, _ b: JSON) -> Bool {
    switch (a, b) {
    case (.null, .null): return true
    case (.bool(let a), .bool(let b)): return a == b
    case (.string(let a), .string(let b)): return a.isExactly(b)
    case (.array(let a), .array(let b)): return a.count == b.count && zip(a, b).allSatisfy { isEqual($0, $1) }
    case (.object(let a), .object(let b)):
      guard a.members.count == b.members.count else { return false }
      var others = [ExactText: JSON](minimumCapacity: b.members.count)
      for member in b.members { others[ExactText(member.name)] = member.value }
      return a.members.allSatisfy { member in
        others[ExactText(member.name)].map { isEqual(member.value, $0) } ?? false
      }
    default: return Numbers.order(a, b) == .same
    }
  }

  private static func feed(_ value: JSON, to hasher: inout Hasher) {
    switch value {
    case .null: hasher.combine(0 as UInt8)
    case .bool(let truth): hasher.combine(truth)
    case .int, .double, .decimal: Numbers.feed(value, to: &hasher)
    case .string(let text): hasher.combine(ExactText(text))
    case .array(let elements):
      hasher.combine(elements.count)
      for element in elements { feed(element, to: &hasher) }
    case .object(let object):
      // A sum, since members have no order.
      var sum = 0
      for member in object.members {
        var own = Hasher()
        own.combine(ExactText(member.name))
        feed(member.value, to: &own)
        sum &+= own.finalize()
      }
      hasher.combine(sum)
    }
  }
}

extension JSON {
  /// About what it costs to look at all of it, in steps.
  var weight: Int {
    switch self {
    case .null, .bool, .int, .double, .decimal: 1
    case .string(let text): 1 + text.utf8.count / 32
    case .array(let elements): elements.reduce(1) { $0 + $1.weight }
    case .object(let object): object.members.reduce(1) { $0 + 1 + $1.name.utf8.count / 32 + $1.value.weight }
    }
  }
}
