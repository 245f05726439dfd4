import Wire

// A keyword's value in the form it must have; nil if it is not there, or has its fault noted.
extension Compiler {
  private mutating func read<T>(
    _ subject: Subject, _ keyword: String, _ expected: String, _ convert: (JSON) -> T?
  ) -> T? {
    guard let value = subject[keyword] else { return nil }
    if let converted = convert(value) { return converted }
    fail(subject, keyword, "must be \(expected), is \(value.kind)")
    return nil
  }

  mutating func text(_ subject: Subject, _ keyword: String) -> String? {
    read(subject, keyword, "a string", \.string)
  }

  mutating func flag(_ subject: Subject, _ keyword: String) -> Bool? {
    read(subject, keyword, "true or false", \.bool)
  }

  mutating func list(_ subject: Subject, _ keyword: String) -> [JSON]? {
    read(subject, keyword, "an array", \.array)
  }

  mutating func map(_ subject: Subject, _ keyword: String) -> JSONObject? {
    read(subject, keyword, "an object", \.object)
  }

  mutating func number(_ subject: Subject, _ keyword: String) -> JSON? {
    read(subject, keyword, "a number") { $0.double == nil ? nil : $0 }
  }

  /// A whole number that is not negative, however it is written; one that no memory could hold is as good as the largest.
  mutating func count(_ subject: Subject, _ keyword: String) -> Int? {
    guard let number = number(subject, keyword), let value = number.double else { return nil }
    guard value >= 0, Numbers.isWhole(number) else {
      fail(subject, keyword, "must be a whole number that is not negative")
      return nil
    }
    return value < 1e15 ? Int(value) : Int.max
  }

  /// Names, each once.
  mutating func names(_ list: [JSON], at place: Int) -> [ExactText] {
    var names: [ExactText] = []
    var seen: Set<ExactText> = []
    for (index, json) in list.enumerated() {
      guard let name = json.string.map(ExactText.init) else {
        fail(places.child(place, "\(index)"), "must be a string, is \(json.kind)")
        continue
      }
      guard seen.insert(name).inserted else {
        fail(places.child(place, "\(index)"), "stands twice")
        continue
      }
      names.append(name)
    }
    return names
  }

  mutating func schema(_ subject: Subject, _ keyword: String) -> Int? {
    guard let value = subject[keyword] else { return nil }
    return subschema(value, at: places.child(subject.place, keyword), in: subject.resource)
  }

  mutating func schemas(_ subject: Subject, _ keyword: String) -> [Int]? {
    guard let list = list(subject, keyword) else { return nil }
    if list.isEmpty { fail(subject, keyword, "must have at least one schema") }
    let place = places.child(subject.place, keyword)
    var nodes: [Int] = []
    for (index, value) in list.enumerated() {
      nodes.append(subschema(value, at: places.child(place, "\(index)"), in: subject.resource))
    }
    return nodes
  }

  mutating func schemaMap(_ subject: Subject, _ keyword: String) -> [(name: String, node: Int)]? {
    guard let object = map(subject, keyword) else { return nil }
    let place = places.child(subject.place, keyword)
    var entries: [(name: String, node: Int)] = []
    for member in object.members {
      let child = places.child(place, member.name)
      entries.append((member.name, subschema(member.value, at: child, in: subject.resource)))
    }
    return entries
  }

  /// A pattern; the same text is compiled once.
  mutating func pattern(_ text: String, at place: Int) -> Pattern? {
    if let known = patterns[ExactText(text)] { return known }
    guard patterns.count < limits.patterns else {
      fail(place, "is one pattern too many: at most \(limits.patterns)")
      return nil
    }
    guard patternSize <= limits.patternSize else {
      fail(place, "makes the patterns of the schema too large together")
      return nil
    }
    do throws(PatternFault) {
      let pattern = try Pattern(text, memory: limits.patternMemory)
      patterns[ExactText(text)] = pattern
      patternSize += pattern.size
      return pattern
    } catch {
      // Refusing costs as much as a large pattern: a schema full of such may not go on for long.
      patternSize += limits.patternSize / 16
      fail(place, error.reason)
      return nil
    }
  }
}
