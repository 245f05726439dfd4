import Wire

// `allOf`, `anyOf`, `oneOf`, `not`, `if`: schemas for the same value.
extension Evaluation {
  mutating func combination(_ rule: Rule, of node: Node, _ value: JSON, _ marks: inout Marks?) -> Bool {
    switch rule.test {
    case .all(let schemas): return all(schemas, value, &marks)
    case .any(let schemas): return any(schemas, node, value, &marks)
    case .exactlyOne(let schemas): return exactlyOne(schemas, node, value, &marks)
    case .not(let schema):
      var none: Marks?
      return !quietly(schema, value, &none) || fail(node.place, "not", "is what the schema excludes")
    case .condition(let condition, let then, let otherwise):
      let branch = quietly(condition, value, &marks) ? then : otherwise
      return branch.map { check($0, value, &marks) } ?? true
    default: return true
    }
  }

  private mutating func all(_ schemas: [Int], _ value: JSON, _ marks: inout Marks?) -> Bool {
    var fits = true
    for schema in schemas where !check(schema, value, &marks) {
      fits = false
      if isDone { return false }
    }
    return fits
  }

  private mutating func any(_ schemas: [Int], _ node: Node, _ value: JSON, _ marks: inout Marks?) -> Bool {
    var fits = false
    for schema in schemas where quietly(schema, value, &marks) {
      fits = true
      // With marks each alternative counts that fits.
      if marks == nil { return true }
    }
    return fits || none(of: schemas, "anyOf", node, value)
  }

  private mutating func exactlyOne(
    _ schemas: [Int], _ node: Node, _ value: JSON, _ marks: inout Marks?
  ) -> Bool {
    var fitting: Int?
    for (index, schema) in schemas.enumerated() where quietly(schema, value, &marks) {
      if let other = fitting {
        return fail(node.place, "oneOf", "fits alternatives \(other) and \(index): must fit one alone")
      }
      fitting = index
    }
    return fitting != nil || none(of: schemas, "oneOf", node, value)
  }

  /// Says why none of the alternatives fits, of the first three.
  private mutating func none(of schemas: [Int], _ keyword: String, _ node: Node, _ value: JSON) -> Bool {
    let reasons = schemas.prefix(3).compactMap { reason($0, value) }
    return fail(node.place, keyword, "fits no alternative\(Self.list(reasons))")
  }

  private static func list(_ reasons: [String]) -> String {
    reasons.isEmpty ? "" : ": " + reasons.joined(separator: "; or ")
  }
}
