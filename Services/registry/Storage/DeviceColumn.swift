import FilterLanguage
import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// A field of a filter in SQL. Its parts are null where the device has no such field.
struct DeviceColumn {
  typealias SQL = PostgresQuery.StringInterpolation

  private let field: DeviceField

  init(_ field: DeviceField) { self.field = field }

  /// The value in its own type.
  private func value(_ sql: inout SQL) {
    switch field {
    case .id: sql.appendLiteral("t.id")
    case .deviceId: sql.appendLiteral("t.device_id")
    case .mcuId: sql.appendLiteral("t.mcu_id")
    case .name: sql.appendLiteral("t.name COLLATE \"C\"")
    case .soc: sql.appendLiteral("t.soc")
    case .boardId: sql.appendLiteral("t.board_id")
    case .networkId: sql.appendLiteral("t.network_id")
    case .createdAt: sql.appendLiteral("t.created_at")
    case .updatedAt: sql.appendLiteral("t.updated_at")
    case .metadata(let name): sql.append("(t.metadata ->> ", name, ")")
    case .groupId: sql.appendLiteral("g.group_id")
    case .online: sql.appendLiteral("s.online")
    case .lastSeenAt: sql.appendLiteral("s.last_seen_at")
    case .applicationId:
      sql.appendLiteral(
        "(CASE WHEN jsonb_typeof(s.attributes -> 'applicationId' -> 'value') IN ('string', 'number') THEN s.attributes -> 'applicationId' ->> 'value' END)"
      )
    case .applicationVersion:
      sql.appendLiteral("filter_software(s.attributes -> 'applicationVersion' -> 'value')")
    case .attribute(let name): sql.append("(s.attributes -> ", name, " ->> 'value')")
    }
  }

  /// The value as the API writes it, to be compared by code points.
  private func text(_ sql: inout SQL) {
    switch field.kind {
    case .id, .flag:
      value(&sql)
      sql.appendLiteral("::text COLLATE \"C\"")
    case .time:
      sql.appendLiteral("to_char(")
      value(&sql)
      sql.appendLiteral(" AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') COLLATE \"C\"")
    case .identifier, .text, .version, .anything:
      value(&sql)
      if case .name = field { return }
      sql.appendLiteral(" COLLATE \"C\"")
    }
  }

  /// `==`, `=in=`.
  func appendIsOne(of operands: [DeviceExpression.Operand], to sql: inout SQL) {
    guard case .groupId = field else { return appendEquals(operands, to: &sql) }
    appendMembership("EXISTS", operands, to: &sql)
  }

  /// `!=`, `=out=`.
  func appendIsNone(of operands: [DeviceExpression.Operand], to sql: inout SQL) {
    if case .groupId = field {
      appendExists(true, to: &sql)
      sql.appendLiteral(" AND ")
      appendMembership("NOT EXISTS", operands, to: &sql)
    } else {
      // Null where the field is not there: each part of it is then null.
      sql.appendLiteral("NOT ")
      appendEquals(operands, to: &sql)
    }
  }

  func appendExists(_ isThere: Bool, to sql: inout SQL) {
    if case .groupId = field {
      sql.appendLiteral(
        "\(isThere ? "" : "NOT ")EXISTS (SELECT FROM group_member g WHERE g.device = t.id)")
    } else {
      value(&sql)
      sql.appendLiteral(isThere ? " IS NOT NULL" : " IS NULL")
    }
  }

  private func appendMembership(
    _ exists: String, _ operands: [DeviceExpression.Operand], to sql: inout SQL
  ) {
    sql.appendLiteral("\(exists) (SELECT FROM group_member g WHERE g.device = t.id AND ")
    appendEquals(operands, to: &sql)
    sql.appendLiteral(")")
  }

  /// In brackets: the values of each kind together, then each pattern.
  private func appendEquals(_ operands: [DeviceExpression.Operand], to sql: inout SQL) {
    var texts: [String] = []
    var ids: [UUID] = []
    var times: [Date] = []
    var flags: [Bool] = []
    var patterns: [DeviceExpression.Pattern] = []
    for operand in operands {
      switch operand {
      case .text(let text), .version(let text): texts.append(text)
      case .id(let id): ids.append(id)
      case .time(let time): times.append(time)
      case .flag(let flag): flags.append(flag)
      case .pattern(let pattern): patterns.append(pattern)
      }
    }
    var parts: [(inout SQL) -> Void] = []
    if !texts.isEmpty { parts.append { $0.appendIsOne(of: texts, value) } }
    if !ids.isEmpty { parts.append { $0.appendIsOne(of: ids, value) } }
    if !times.isEmpty { parts.append { $0.appendIsOne(of: times, value) } }
    if flags.count == 1 {
      // So written, the partial indexes on it can be used.
      parts.append { $0.appendLiteral(flags[0] ? "s.online" : "s.online IS NOT TRUE AND NOT s.online") }
    } else if !flags.isEmpty {
      parts.append { $0.appendIsOne(of: flags, value) }
    }
    if case .attribute(let name) = field {
      let numbers = texts.filter { $0.utf8.first.map { "+-0123456789".utf8.contains($0) } ?? false }
      if !numbers.isEmpty { parts.append { appendNumber(name, numbers, to: &$0) } }
    }
    for pattern in patterns { parts.append { $0.append(pattern, text) } }
    sql.appendList(parts, " OR ") { $1(&$0) }
  }

  /// A number that a device sent is compared as a number.
  private func appendNumber(_ name: String, _ numbers: [String], to sql: inout SQL) {
    sql.append("(jsonb_typeof(s.attributes -> ", name, " -> 'value') = 'number' AND COALESCE(filter_number(")
    value(&sql)
    sql.appendLiteral(") IN (SELECT filter_number(n) FROM unnest(")
    sql.appendInterpolation(numbers)
    sql.appendLiteral("::text[]) AS n), false))")
  }

  /// `=lt=` and its kin.
  func append(_ order: DeviceExpression.Order, _ operand: DeviceExpression.Operand, to sql: inout SQL) {
    switch operand {
    case .text(let text), .version(let text): appendText(order, text, to: &sql)
    case .id(let id):
      value(&sql)
      sql.append(order.relation, id)
    case .time(let time):
      sql.appendLiteral("(")
      value(&sql)
      sql.append(order.relation, time)
      if case .createdAt = field {
        // See device_id_time: the ids of that range, which the lists go along.
        sql.appendLiteral(" AND t.id")
        sql.append(order.relation, order.isUpper ? UUID(after: time) : UUID(before: time))
      }
      sql.appendLiteral(")")
    case .flag, .pattern: sql.appendLiteral("false")
    }
  }

  private func appendText(_ order: DeviceExpression.Order, _ text: String, to sql: inout SQL) {
    if field.kind != .identifier, text.isComparable {
      sql.appendLiteral("filter_order(")
      value(&sql)
      sql.append(", ", text, ")\(order.relation)0")
    } else {
      self.text(&sql)
      sql.append(order.relation, text)
    }
  }
}

extension String {
  /// Whether it may be a number, a version or a time.
  fileprivate var isComparable: Bool {
    unicodeScalars.prefix(2).contains { ("0"..."9").contains($0) }
  }
}

extension DeviceExpression.Order {
  fileprivate var relation: String {
    switch self {
    case .less: " < "
    case .lessOrEqual: " <= "
    case .greater: " > "
    case .greaterOrEqual: " >= "
    }
  }

  fileprivate var isUpper: Bool { self == .less || self == .lessOrEqual }
}

extension UUID {
  /// How far a record's id and its `createdAt` may be apart (the constraint `device_id_time`).
  private static let margin: TimeInterval = 600

  /// Not above any id of a record that was made at that time or later.
  fileprivate init(before time: Date) {
    self = Self.bound(time.addingTimeInterval(-Self.margin), filling: 0)
  }

  /// Not below any id of a record that was made at that time or earlier.
  fileprivate init(after time: Date) {
    self = Self.bound(time.addingTimeInterval(Self.margin + 0.001), filling: 0xFF)
  }

  private static func bound(_ time: Date, filling rest: UInt8) -> UUID {
    let milliseconds = UInt64(min(max(0, time.timeIntervalSince1970 * 1000), 0xFFFF_FFFF_FFFF))
    func byte(_ shift: Int) -> UInt8 { UInt8(truncatingIfNeeded: milliseconds >> UInt64(shift)) }
    return UUID(
      uuid: (
        byte(40), byte(32), byte(24), byte(16), byte(8), byte(0), rest, rest, rest, rest, rest, rest, rest,
        rest, rest, rest
      ))
  }
}
