import Wire

/// Reads RSQL: comparisons with `;` (and), which binds closer than `,` (or), and brackets. The brackets that are open are
/// a list and no recursion.
struct FilterParser {
  /// The most characters of a filter.
  static let maximumLength = 32_768
  /// The most brackets within each other.
  static let maximumDepth = 32
  static let maximumComparisons = 100
  /// The most values of all its comparisons together.
  static let maximumValues = 2000

  private enum Operator: String, CaseIterable {
    case equal = "=="
    case unequal = "!="
    case less = "=lt="
    case lessOrEqual = "=le="
    case greater = "=gt="
    case greaterOrEqual = "=ge="
    case isIn = "=in="
    case isOut = "=out="
    case exists = "=exists="

    static let list = allCases.map(\.rawValue).joined(separator: " ")
  }

  /// An open bracket, or the filter itself.
  private struct Level {
    let column: Int
    var alternatives: [DeviceExpression.Node] = []
    var conjuncts: [DeviceExpression.Node] = []

    mutating func endConjunction() {
      alternatives.append(Self.join(conjuncts) { .all($0) })
      conjuncts = []
    }

    var node: DeviceExpression.Node { Self.join(alternatives) { .any($0) } }

    /// One is itself.
    private static func join(
      _ nodes: [DeviceExpression.Node], _ make: ([DeviceExpression.Node]) -> DeviceExpression.Node
    ) -> DeviceExpression.Node {
      nodes.count == 1 ? nodes[0] : make(nodes)
    }
  }

  private var scanner: FilterScanner
  private let use: DeviceExpression.Use
  private var comparisons = 0
  private var values = 0

  init(_ text: String, _ use: DeviceExpression.Use) throws(FilterFault) {
    scanner = FilterScanner(text)
    self.use = use
    if scanner.count > Self.maximumLength {
      throw scanner.fault(
        "a filter has \(Self.maximumLength) characters at most", at: Self.maximumLength + 1)
    }
  }

  mutating func expression() throws(FilterFault) -> DeviceExpression.Node {
    var levels = [Level(column: 1)]
    while true {
      scanner.skipBlanks()
      let column = scanner.column
      if scanner.take("(") {
        guard levels.count <= Self.maximumDepth else {
          throw scanner.fault("brackets stand \(Self.maximumDepth) deep at most", at: column)
        }
        levels.append(Level(column: column))
        continue
      }
      levels[levels.count - 1].conjuncts.append(.comparison(try comparison()))
      if let node = try closed(&levels) { return node }
    }
  }

  /// What may follow a comparison: brackets that close, then `;`, `,` or the end.
  /// - Returns: all of it, at the end.
  private mutating func closed(_ levels: inout [Level]) throws(FilterFault) -> DeviceExpression.Node? {
    while true {
      let last = levels.count - 1
      scanner.skipBlanks()
      if scanner.take(";") { return nil }
      if scanner.take(",") {
        levels[last].endConjunction()
        return nil
      }
      if last > 0 {
        guard scanner.take(")") else {
          throw scanner.fault(
            "expected ; or , or a ) for the ( at column \(levels[last].column), \(scanner.found)")
        }
        levels[last].endConjunction()
        levels[last - 1].conjuncts.append(levels.removeLast().node)
        continue
      }
      guard scanner.next == nil else {
        throw scanner.fault("expected ; or , or the end, \(scanner.found)\(Self.hint(scanner))")
      }
      levels[0].endConjunction()
      return levels[0].node
    }
  }

  /// The most likely reason.
  private static func hint(_ scanner: FilterScanner) -> String {
    scanner.next == ")" ? " without a ( before it" : ": values with such characters or blanks stand in quotes"
  }

  private mutating func comparison() throws(FilterFault) -> DeviceExpression.Comparison {
    comparisons += 1
    if comparisons > Self.maximumComparisons {
      throw scanner.fault("a filter has \(Self.maximumComparisons) comparisons at most")
    }
    let field = try field()
    scanner.skipBlanks()
    let column = scanner.column
    let relation = try relation()
    scanner.skipBlanks()
    switch relation {
    case .equal: return .init(field, .isOne(of: [try operand(field)]))
    case .unequal: return .init(field, .isNone(of: [try operand(field)]))
    case .isIn: return .init(field, .isOne(of: try operands(field)))
    case .isOut: return .init(field, .isNone(of: try operands(field)))
    case .exists: return .init(field, .exists(try truth()))
    case .less, .lessOrEqual, .greater, .greaterOrEqual:
      guard field.hasOrder, let order = DeviceExpression.Order(rawValue: relation.rawValue) else {
        throw scanner.fault("this field has no order: compare it with == or !=", at: column)
      }
      return .init(field, .order(order, try operand(field, hasPatterns: false)))
    }
  }

  private mutating func field() throws(FilterFault) -> DeviceField {
    let column = scanner.column
    let name = scanner.selector()
    guard !name.isEmpty else { throw scanner.fault("expected a field or (, \(scanner.found)", at: column) }
    guard let field = try named(name) ?? DeviceField(named: name) else {
      throw scanner.fault(
        "there is no field \(FilterScanner.quote(name)); there are \(DeviceField.list)", at: column)
    }
    if use == .groupQuery, !field.isOfRegistry {
      throw scanner.fault(
        "a group's query cannot use \(FilterScanner.quote(name)): state and groups come and go, and would move members by the minute",
        at: column)
    }
    return field
  }

  /// A field with a name that somebody has chosen; it may stand in quotes after the dot.
  private mutating func named(_ name: String) throws(FilterFault) -> DeviceField? {
    func rest(_ prefix: String) -> String? {
      guard name.unicodeScalars.starts(with: prefix.unicodeScalars) else { return nil }
      return name.unicodeScalars.dropFirst(prefix.unicodeScalars.count)
        .reduce(into: "") { $0.unicodeScalars.append($1) }
    }
    let metadata = rest(DeviceField.metadataPrefix)
    guard var chosen = metadata ?? rest(DeviceField.attributePrefix) else { return nil }
    if chosen.isEmpty, scanner.next == "\"" || scanner.next == "'" { chosen = try scanner.quotedName() }
    guard !chosen.isEmpty else { throw scanner.fault("expected a name after the dot, \(scanner.found)") }
    return metadata == nil ? .attribute(chosen) : .metadata(chosen)
  }

  private mutating func relation() throws(FilterFault) -> Operator {
    for relation in Operator.allCases where scanner.take(relation.rawValue) { return relation }
    throw scanner.fault("expected one of \(Operator.list), \(scanner.found)")
  }

  private mutating func operands(_ field: DeviceField) throws(FilterFault) -> [DeviceExpression.Operand] {
    guard scanner.take("(") else {
      throw scanner.fault("expected values in brackets, (a,b), \(scanner.found)")
    }
    var operands: [DeviceExpression.Operand] = []
    repeat {
      scanner.skipBlanks()
      operands.append(try operand(field))
      scanner.skipBlanks()
    } while scanner.take(",")
    guard scanner.take(")") else { throw scanner.fault("expected , or ), \(scanner.found)") }
    return operands
  }

  private mutating func operand(_ field: DeviceField, hasPatterns: Bool = true) throws(FilterFault)
    -> DeviceExpression.Operand
  {
    let column = scanner.column
    values += 1
    if values > Self.maximumValues {
      throw scanner.fault("a filter has \(Self.maximumValues) values at most")
    }
    let value = try scanner.value()
    let operand =
      hasPatterns
      ? DeviceExpression.Operand(value, for: field.kind)
      : DeviceExpression.Operand(value.text, for: field.kind)
    guard let operand else {
      throw scanner.fault(
        "expected \(field.kind.expected), found \(FilterScanner.quote(value.text))", at: column)
    }
    return operand
  }

  private mutating func truth() throws(FilterFault) -> Bool {
    let column = scanner.column
    switch try scanner.value().text {
    case "true": return true
    case "false": return false
    default: throw scanner.fault("expected true or false", at: column)
    }
  }
}
