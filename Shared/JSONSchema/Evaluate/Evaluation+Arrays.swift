import Wire

extension Evaluation {
  mutating func array(_ rule: Rule, of node: Node, _ elements: [JSON], _ marks: inout Marks?) -> Bool {
    switch rule.test {
    case .elements(let prefix, let rest): return self.elements(prefix, rest, elements, &marks)
    case .contains(let schema, let minimum, let maximum):
      return contains(schema, minimum, maximum, node, elements, &marks)
    case .unique: return unique(node, elements)
    case .unevaluatedElements(let schema): return unevaluated(schema, elements, &marks)
    default: return true
    }
  }

  private mutating func elements(
    _ prefix: [Int], _ rest: Int?, _ elements: [JSON], _ marks: inout Marks?
  ) -> Bool {
    var fits = true
    for (index, value) in elements.enumerated() {
      let isPrefix = index < prefix.count
      guard let schema = isPrefix ? prefix[index] : rest else { break }
      marks?.insert(index)
      if inside(schema, index, value, last: isPrefix ? nil : prefix.count) { continue }
      fits = false
      if isDone { return false }
    }
    return fits
  }

  /// - Parameter last: how many elements there may be if nothing fits the schema.
  private mutating func inside(_ schema: Int, _ index: Int, _ value: JSON, last: Int? = nil) -> Bool {
    element(index) { evaluation in
      let node = evaluation.nodes[schema]
      if node.isNever, let last {
        return evaluation.fail(node.place, nil, "is one too many: at most \(last) can be here")
      }
      var none: Marks?
      return evaluation.check(schema, value, &none)
    }
  }

  private mutating func contains(
    _ schema: Int, _ minimum: Int, _ maximum: Int?, _ node: Node, _ elements: [JSON], _ marks: inout Marks?
  ) -> Bool {
    var count = 0
    for (index, value) in elements.enumerated() {
      var none: Marks?
      guard quietly(schema, value, &none) else {
        guard spend(0) else { return false }
        continue
      }
      count += 1
      marks?.insert(index)
      if marks == nil, maximum == nil, count >= minimum { return true }
    }
    if count < minimum {
      let needed = minimum == 1 ? "an element" : "\(minimum) elements"
      return fail(
        node.place, minimum == 1 ? "contains" : "minContains", "must contain \(needed) that fit, has \(count)"
      )
    }
    guard let maximum, count > maximum else { return true }
    return fail(node.place, "maxContains", "must contain at most \(maximum) elements that fit, has \(count)")
  }

  private mutating func unique(_ node: Node, _ elements: [JSON]) -> Bool {
    var first: [JSONKey: Int] = [:]
    for (index, value) in elements.enumerated() {
      guard spend(1 + 2 * value.weight) else { return false }
      if let other = first.updateValue(index, forKey: JSONKey(value)) {
        return element(index) {
          $0.fail(node.place, "uniqueItems", "is the same as element \(other): must differ")
        }
      }
    }
    return true
  }

  private mutating func unevaluated(_ schema: Int, _ elements: [JSON], _ marks: inout Marks?) -> Bool {
    guard let seen = marks else { return true }
    var fits = true
    for (index, value) in elements.enumerated() where !seen.contains(index) {
      marks?.insert(index)
      if inside(schema, index, value) { continue }
      fits = false
      if isDone { return false }
    }
    return fits && spend(elements.count / 16)
  }
}
