import FilterLanguage
import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// A filter as a condition in SQL on the row `t` of `device`, with its values bound:
///
///     "SELECT t.id FROM device t WHERE t.organisation_id = \(organisation) AND \(condition)"
///
/// One that asks for state (`needsState`) also needs the row `s` of `device_state`. A part that is null counts as false:
/// no `NOT` stands around parts that a missing field makes null.
struct DeviceCondition: Sendable {
  let expression: DeviceExpression
  /// Whose devices are asked for, if of one organisation; the caller's query says so too.
  var organisation: UUID?
  /// Only devices after that one are asked for, as the caller's query says too.
  var after: UUID?

  init(_ expression: DeviceExpression, organisation: UUID? = nil, after: UUID? = nil) {
    (self.expression, self.organisation, self.after) = (expression, organisation, after)
  }

  var needsState: Bool {
    expression.comparisons.contains {
      switch $0.field {
      case .online, .lastSeenAt, .applicationId, .applicationVersion, .attribute: true
      default: false
      }
    }
  }

  /// The joined row of the state: by both keys, so that the indexes of either may lead.
  static let stateJoin = "JOIN device_state s ON s.device_id = t.device_id AND s.id = t.id"
}

extension PostgresQuery.StringInterpolation {
  /// The condition in brackets.
  mutating func appendInterpolation(_ condition: DeviceCondition) {
    append(condition.expression.root, condition, isOutermost: true)
  }

  /// - Parameter isOutermost: everything must hold it, so that what looks it up may lead the whole query.
  private mutating func append(
    _ node: DeviceExpression.Node, _ condition: DeviceCondition, isOutermost: Bool
  ) {
    switch node {
    case .all(let nodes):
      appendList(nodes, " AND ") { $0.append($1, condition, isOutermost: isOutermost) }
    case .any(let nodes):
      let entries = nodes.compactMap(MetadataEntry.init)
      if isOutermost, entries.count == nodes.count {
        append(entries, condition)
      } else {
        appendList(nodes, " OR ") { $0.append($1, condition, isOutermost: false) }
      }
    case .comparison(let comparison):
      if isOutermost, let entry = MetadataEntry(node) {
        append([entry], condition)
      } else {
        append(comparison)
      }
    }
  }

  /// Metadata by way of the table that has an index on its values. The planner turns it into a join that goes along that
  /// index, which has the devices in the order of the lists; the conditions that repeat what the query says are for that.
  private mutating func append(_ entries: [MetadataEntry], _ condition: DeviceCondition) {
    appendLiteral("EXISTS (SELECT FROM device_metadata m WHERE m.device = t.id")
    if let organisation = condition.organisation {
      appendLiteral(" AND m.organisation = ")
      appendInterpolation(organisation)
    }
    if let after = condition.after {
      appendLiteral(" AND m.device > ")
      appendInterpolation(after)
    }
    appendLiteral(" AND ")
    appendList(entries, " OR ") { sql, entry in
      sql.appendLiteral("m.name = ")
      sql.appendInterpolation(entry.name)
      sql.appendLiteral(" AND ")
      switch entry.test {
      case .values(let values): sql.appendIsOne(of: values) { $0.appendLiteral("m.value") }
      case .beginning(let pattern): sql.append(pattern) { $0.appendLiteral("m.value") }
      }
    }
    appendLiteral(")")
  }

  private mutating func append(_ comparison: DeviceExpression.Comparison) {
    let column = DeviceColumn(comparison.field)
    switch comparison.test {
    case .isOne(let operands): column.appendIsOne(of: operands, to: &self)
    case .isNone(let operands): column.appendIsNone(of: operands, to: &self)
    case .order(let order, let operand): column.append(order, operand, to: &self)
    case .exists(let isThere): column.appendExists(isThere, to: &self)
    }
  }

  /// `(a AND b)`.
  mutating func appendList<Part>(
    _ parts: [Part], _ separator: String, _ append: (inout Self, Part) -> Void
  ) {
    appendLiteral("(")
    for (index, part) in parts.enumerated() {
      if index > 0 { appendLiteral(separator) }
      append(&self, part)
    }
    appendLiteral(")")
  }

  /// One of these values, exactly.
  mutating func appendIsOne<Value: PostgresEncodable & PostgresArrayElement>(
    of values: [Value], _ column: (inout Self) -> Void
  ) {
    column(&self)
    if values.count == 1 {
      appendLiteral(" = ")
      appendInterpolation(values[0])
    } else {
      appendLiteral(" = ANY(")
      appendInterpolation(values)
      appendLiteral(")")
    }
  }

  /// Text that fits a pattern, compared by code points. (No LIKE: nothing in the text means anything.)
  mutating func append(_ pattern: DeviceExpression.Pattern, _ column: (inout Self) -> Void) {
    func compare(_ sql: inout Self, _ relation: String, _ text: String) {
      column(&sql)
      sql.appendLiteral(relation)
      sql.appendInterpolation(text)
    }
    switch (pattern.isOpenBefore, pattern.isOpenAfter) {
    case (true, true):
      appendLiteral("strpos(")
      column(&self)
      appendLiteral(", ")
      appendInterpolation(pattern.text)
      appendLiteral(") > 0")
    case (true, false):
      appendLiteral("right(")
      column(&self)
      appendLiteral(", ")
      appendInterpolation(Int32(pattern.text.unicodeScalars.count))
      appendLiteral(") = ")
      appendInterpolation(pattern.text)
    case (false, _):
      compare(&self, " >= ", pattern.text)
      guard let end = pattern.end else { return }
      appendLiteral(" AND ")
      compare(&self, " < ", end)
    }
  }
}

/// A field of the metadata that has one of some values, or begins in some way.
private struct MetadataEntry {
  enum Test {
    case values([String])
    case beginning(DeviceExpression.Pattern)
  }

  let name: String
  let test: Test

  init?(_ node: DeviceExpression.Node) {
    guard case .comparison(let comparison) = node, case .metadata(let name) = comparison.field,
      case .isOne(let operands) = comparison.test
    else { return nil }
    self.name = name
    if operands.count == 1, case .pattern(let pattern) = operands[0], !pattern.isOpenBefore {
      test = .beginning(pattern)
      return
    }
    let values = operands.compactMap(\.text)
    guard values.count == operands.count else { return nil }
    test = .values(values)
  }
}

extension DeviceExpression.Operand {
  /// The text, if it is that and nothing else.
  var text: String? { if case .text(let text) = self { text } else { nil } }
}
