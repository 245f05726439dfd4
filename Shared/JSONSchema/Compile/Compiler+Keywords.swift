import Wire

extension Compiler {
  /// All keywords of a subschema, in the order in which they are looked at: what is cheap first, `unevaluated…` last.
  mutating func rules(of subject: Subject) -> [Rule] {
    var rules: [Rule] = []
    annotations(subject)
    values(subject, &rules)
    numbers(subject, &rules)
    strings(subject, &rules)
    arrays(subject, &rules)
    objects(subject, &rules)
    applicators(subject, &rules)
    referencing(subject, &rules)
    if let node = schema(subject, "unevaluatedItems") {
      rules.append(Rule(keyword: "unevaluatedItems", test: .unevaluatedElements(node)))
    }
    if let node = schema(subject, "unevaluatedProperties") {
      rules.append(Rule(keyword: "unevaluatedProperties", test: .unevaluatedMembers(node)))
    }
    return rules
  }

  /// What asserts nothing has to be written rightly all the same.
  private mutating func annotations(_ subject: Subject) {
    for keyword in ["title", "description", "$comment", "format", "contentEncoding", "contentMediaType"] {
      _ = text(subject, keyword)
    }
    for keyword in ["deprecated", "readOnly", "writeOnly"] { _ = flag(subject, keyword) }
    _ = list(subject, "examples")
    _ = schemaMap(subject, "$defs")
    _ = schemaMap(subject, "definitions")
    _ = schema(subject, "contentSchema")
    guard let vocabulary = map(subject, "$vocabulary") else { return }
    let place = places.child(subject.place, "$vocabulary")
    for member in vocabulary.members where member.value.bool == nil {
      fail(places.child(place, member.name), "must be true or false")
    }
  }

  private mutating func values(_ subject: Subject, _ rules: inout [Rule]) {
    if let types = types(subject) { rules.append(Rule(keyword: "type", test: .types(types))) }
    if let value = subject["const"] {
      rules.append(Rule(keyword: "const", test: .constant(JSONKey(value))))
    }
    if let list = list(subject, "enum") {
      var shown = list.prefix(8).map(\.text.clipped).joined(separator: ", ")
      if list.count > 8 { shown += " and \(list.count - 8) more" }
      rules.append(Rule(keyword: "enum", test: .values(Set(list.map(JSONKey.init)), shown: shown)))
    }
  }

  private mutating func types(_ subject: Subject) -> JSONTypes? {
    let place = places.child(subject.place, "type")
    let known = JSONTypes.words.map(\.0).joined(separator: ", ")
    switch subject["type"] {
    case nil: return nil
    case .string(let word):
      if let type = JSONTypes(word: word) { return type }
      fail(place, "must be one of \(known)")
    case .array(let list) where !list.isEmpty:
      var types: JSONTypes = []
      for (index, json) in list.enumerated() {
        guard let type = json.string.flatMap(JSONTypes.init(word:)) else {
          fail(places.child(place, "\(index)"), "must be one of \(known)")
          continue
        }
        if !types.insert(type).inserted { fail(places.child(place, "\(index)"), "stands twice") }
      }
      return types
    default: fail(place, "must be one of \(known), or a list of them")
    }
    return nil
  }

  private mutating func numbers(_ subject: Subject, _ rules: inout [Rule]) {
    if let divisor = number(subject, "multipleOf"), let exact = ExactNumber(divisor) {
      if exact.isNegative || exact.digits.isEmpty {
        fail(subject, "multipleOf", "must be more than 0")
      } else if exact.digits.count > 18 {
        fail(subject, "multipleOf", "must have at most 18 digits")
      } else {
        rules.append(Rule(keyword: "multipleOf", test: .multipleOf(exact, shown: divisor.text.clipped)))
      }
    }
    for bound in Bound.allCases {
      guard let limit = number(subject, bound.rawValue) else { continue }
      rules.append(Rule(keyword: bound.rawValue, test: .bound(bound, limit)))
    }
  }

  private mutating func strings(_ subject: Subject, _ rules: inout [Rule]) {
    for length in Length.allCases {
      guard let limit = count(subject, length.rawValue) else { continue }
      rules.append(Rule(keyword: length.rawValue, test: .length(length, limit)))
    }
    guard let text = text(subject, "pattern") else { return }
    if let pattern = pattern(text, at: places.child(subject.place, "pattern")) {
      rules.append(Rule(keyword: "pattern", test: .pattern(pattern)))
    }
  }

  private mutating func arrays(_ subject: Subject, _ rules: inout [Rule]) {
    if flag(subject, "uniqueItems") == true { rules.append(Rule(keyword: "uniqueItems", test: .unique)) }
    let prefix = schemas(subject, "prefixItems")
    let rest = schema(subject, "items")
    if prefix != nil || rest != nil {
      let test = Test.elements(prefix: prefix ?? [], rest: rest)
      rules.append(Rule(keyword: rest == nil ? "prefixItems" : "items", test: test))
    }
    let minimum = count(subject, "minContains") ?? 1
    let maximum = count(subject, "maxContains")
    if let node = schema(subject, "contains") {
      let test = Test.contains(node, minimum: minimum, maximum: maximum)
      rules.append(Rule(keyword: "contains", test: test))
    }
  }

  private mutating func objects(_ subject: Subject, _ rules: inout [Rule]) {
    if let list = list(subject, "required") {
      let names = names(list, at: places.child(subject.place, "required"))
      rules.append(Rule(keyword: "required", test: .required(names)))
    }
    if let object = map(subject, "dependentRequired") {
      rules.append(dependentRequired(object, at: places.child(subject.place, "dependentRequired")))
    }
    members(subject, &rules)
    if let node = schema(subject, "propertyNames") {
      rules.append(Rule(keyword: "propertyNames", test: .names(node)))
    }
    if let entries = schemaMap(subject, "dependentSchemas") {
      let test = Test.dependentSchemas(entries.map { (ExactText($0.name), $0.node) })
      rules.append(Rule(keyword: "dependentSchemas", test: test))
    }
  }

  private mutating func dependentRequired(_ object: JSONObject, at place: Int) -> Rule {
    var entries: [(ExactText, [ExactText])] = []
    for member in object.members {
      let child = places.child(place, member.name)
      if let list = member.value.array {
        entries.append((ExactText(member.name), names(list, at: child)))
      } else {
        fail(child, "must be an array, is \(member.value.kind)")
      }
    }
    return Rule(keyword: "dependentRequired", test: .dependentRequired(entries))
  }

  private mutating func members(_ subject: Subject, _ rules: inout [Rule]) {
    var rule = MemberRule()
    for entry in schemaMap(subject, "properties") ?? [] { rule.named[ExactText(entry.name)] = entry.node }
    let place = places.child(subject.place, "patternProperties")
    for entry in schemaMap(subject, "patternProperties") ?? [] {
      guard let pattern = pattern(entry.name, at: places.child(place, entry.name)) else { continue }
      rule.patterns.append((pattern, entry.node))
    }
    rule.additional = schema(subject, "additionalProperties")
    guard !rule.named.isEmpty || !rule.patterns.isEmpty || rule.additional != nil else { return }
    rules.append(Rule(keyword: "additionalProperties", test: .members(rule)))
  }

  private mutating func applicators(_ subject: Subject, _ rules: inout [Rule]) {
    if let nodes = schemas(subject, "allOf") { rules.append(Rule(keyword: "allOf", test: .all(nodes))) }
    if let nodes = schemas(subject, "anyOf") { rules.append(Rule(keyword: "anyOf", test: .any(nodes))) }
    if let nodes = schemas(subject, "oneOf") {
      rules.append(Rule(keyword: "oneOf", test: .exactlyOne(nodes)))
    }
    if let node = schema(subject, "not") { rules.append(Rule(keyword: "not", test: .not(node))) }
    let then = schema(subject, "then")
    let otherwise = schema(subject, "else")
    if let node = schema(subject, "if") {
      rules.append(Rule(keyword: "if", test: .condition(node, then: then, otherwise: otherwise)))
    }
  }
}
