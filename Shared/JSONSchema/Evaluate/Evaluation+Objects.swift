import Wire

extension Evaluation {
  mutating func object(
    _ rule: Rule, of node: Node, _ value: JSON, _ object: JSONObject, _ marks: inout Marks?
  ) -> Bool {
    switch rule.test {
    case .members(let members): return self.members(members, object, &marks)
    case .names(let schema): return names(schema, node, object)
    case .required(let names): return required(names, "required", node, object)
    case .dependentRequired(let entries):
      guard let present = present(in: object, asking: entries.count) else { return false }
      var fits = true
      for (name, needed) in entries where present.contains(name) {
        if required(needed, "dependentRequired", node, object, because: name.text) { continue }
        fits = false
        if isDone { return false }
      }
      return fits
    case .dependentSchemas(let entries):
      guard let present = present(in: object, asking: entries.count) else { return false }
      var fits = true
      for (name, schema) in entries where present.contains(name) && !check(schema, value, &marks) {
        fits = false
        if isDone { return false }
      }
      return fits
    case .unevaluatedMembers(let schema): return unevaluated(schema, object, &marks)
    default: return true
    }
  }

  /// The names that an object has, paid for; nil when there are no steps left.
  private mutating func present(in object: JSONObject, asking: Int) -> Set<ExactText>? {
    let bytes = object.members.reduce(0) { $0 + $1.name.utf8.count }
    guard spend(object.members.count + bytes / 32 + asking) else { return nil }
    return Set(object.members.map { ExactText($0.name) })
  }

  private mutating func members(_ rule: MemberRule, _ object: JSONObject, _ marks: inout Marks?) -> Bool {
    var fits = true
    for (index, member) in object.members.enumerated() {
      guard spend(1 + member.name.utf8.count / 32) else { return false }
      var schemas: [Int] = []
      if let named = rule.named[ExactText(member.name)] { schemas.append(named) }
      for (pattern, schema) in rule.patterns where matches(pattern, member.name) { schemas.append(schema) }
      if schemas.isEmpty, let additional = rule.additional { schemas.append(additional) }
      if !schemas.isEmpty { marks?.insert(index) }
      for schema in schemas where !inside(schema, member, isKnown: schema != rule.additional) {
        fits = false
        if isDone { return false }
      }
    }
    return fits
  }

  private mutating func inside(_ schema: Int, _ member: JSONObject.Member, isKnown: Bool) -> Bool {
    self.member(member.name) { evaluation in
      let node = evaluation.nodes[schema]
      if node.isNever, !isKnown { return evaluation.fail(node.place, nil, "is not a known member") }
      var none: Marks?
      return evaluation.check(schema, member.value, &none)
    }
  }

  private mutating func names(_ schema: Int, _ node: Node, _ object: JSONObject) -> Bool {
    var fits = true
    for member in object.members {
      var none: Marks?
      if quietly(schema, .string(member.name), &none) { continue }
      let reason = reason(schema, .string(member.name)) ?? ""
      fits = self.member(member.name) {
        $0.fail(node.place, "propertyNames", "has a name that does not fit: \(reason)")
      }
      if isDone { return false }
    }
    return fits
  }

  private mutating func required(
    _ names: [ExactText], _ keyword: String, _ node: Node, _ object: JSONObject, because other: String? = nil
  ) -> Bool {
    guard let present = present(in: object, asking: names.count) else { return false }
    var fits = true
    for name in names where !present.contains(name) {
      fits = member(name.text) {
        $0.fail(node.place, keyword, "is missing" + (other.map { ": \($0.clipped) needs it" } ?? ""))
      }
      if isDone { return false }
    }
    return fits
  }

  private mutating func unevaluated(_ schema: Int, _ object: JSONObject, _ marks: inout Marks?) -> Bool {
    guard let seen = marks else { return true }
    var fits = true
    for (index, member) in object.members.enumerated() where !seen.contains(index) {
      marks?.insert(index)
      if inside(schema, member, isKnown: false) { continue }
      fits = false
      if isDone { return false }
    }
    return fits && spend(object.members.count / 16)
  }
}
