import Wire

extension Evaluation {
  /// Whether one keyword of a node holds.
  mutating func holds(_ rule: Rule, of node: Node, _ value: JSON, _ marks: inout Marks?) -> Bool {
    switch rule.test {
    case .reference(let target): check(target, value, &marks)
    case .dynamicReference(let target, let others): check(outermost(of: others) ?? target, value, &marks)
    case .members, .names, .required, .dependentRequired, .dependentSchemas, .unevaluatedMembers:
      value.object.map { object(rule, of: node, value, $0, &marks) } ?? true
    case .elements, .contains, .unique, .unevaluatedElements:
      value.array.map { array(rule, of: node, $0, &marks) } ?? true
    case .all, .any, .exactlyOne, .not, .condition: combination(rule, of: node, value, &marks)
    case .types, .constant, .values, .bound, .multipleOf, .length, .pattern: alone(rule, of: node, value)
    }
  }

  /// What a `$dynamicRef` means: the subschema of that name in the outermost resource that has one.
  private mutating func outermost(of others: [Int: Int]) -> Int? {
    guard spend(scope.count / 8) else { return nil }
    for resource in scope {
      if let node = others[resource] { return node }
    }
    return nil
  }

  /// Keywords that look at the value and need no other schema.
  private mutating func alone(_ rule: Rule, of node: Node, _ value: JSON) -> Bool {
    if case .decimal(let text) = value, !spend(text.utf8.count / 16) { return false }
    return switch rule.test {
    case .types(let types):
      types.holds(value) || fail(node.place, rule.keyword, "must be \(types.words), is \(value.kind)")
    case .constant(let expected):
      spend(value.weight) && JSONKey(value) == expected
        || fail(node.place, rule.keyword, "must be \(expected.value.text.clipped)")
    case .values(let allowed, let shown):
      spend(value.weight) && allowed.contains(JSONKey(value))
        || fail(node.place, rule.keyword, shown.isEmpty ? "is never allowed" : "must be one of \(shown)")
    case .bound(let bound, let limit): bounded(bound, limit, node, value)
    case .multipleOf(let divisor, let shown):
      ExactNumber(value)?.isMultiple(of: divisor) ?? true
        || fail(node.place, rule.keyword, "must be a multiple of \(shown)")
    case .length(let length, let limit): counted(length, limit, node, value)
    case .pattern(let pattern):
      value.string.map { matches(pattern, $0) } ?? true
        || fail(node.place, rule.keyword, "must match the pattern \(pattern.text.clipped)")
    default: true
    }
  }

  private mutating func bounded(_ bound: Bound, _ limit: JSON, _ node: Node, _ value: JSON) -> Bool {
    guard let order = Numbers.order(value, limit) else { return true }
    let (fits, words) =
      switch bound {
      case .minimum: (order != .less, "at least")
      case .maximum: (order != .more, "at most")
      case .exclusiveMinimum: (order == .more, "more than")
      case .exclusiveMaximum: (order == .less, "less than")
      }
    return fits || fail(node.place, bound.rawValue, "must be \(words) \(limit.text.clipped)")
  }

  private mutating func counted(_ length: Length, _ limit: Int, _ node: Node, _ value: JSON) -> Bool {
    let count: Int
    switch (length, value) {
    case (.minLength, .string(let text)), (.maxLength, .string(let text)):
      guard spend(text.utf8.count / 64) else { return false }
      count = text.unicodeScalars.count
    case (.minItems, .array), (.maxItems, .array), (.minProperties, .object), (.maxProperties, .object):
      count = value.count
    default: return true
    }
    if length.isMinimum ? count >= limit : count <= limit { return true }
    let words = length.isMinimum ? "at least" : "at most"
    let unit = length.unit + (limit == 1 ? "" : "s")
    return fail(node.place, length.rawValue, "must have \(words) \(limit) \(unit), has \(count)")
  }

  /// Whether a pattern matches; each byte may cost as much as the pattern is large.
  mutating func matches(_ pattern: Pattern, _ text: String) -> Bool {
    spend(1 + text.utf8.count * pattern.size / 64) && pattern.matches(text)
  }
}
