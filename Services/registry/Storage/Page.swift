import FoundationEssentials
import Postgres

/// Which part of a list is wanted.
struct PageRequest: Sendable {
  var limit = 100
  var offset = 0
  /// The last id of the page before.
  var after: UUID?
  /// How many there are in all, if the page before has counted.
  var total: Int64?
  /// Which list it is, with its filters and for whom: a cursor of another one is refused.
  var list = ""
}

/// A part of a list, in the order of the ids, which is that of creation.
struct Page<Item: Sendable>: Sendable {
  let items: [Item]
  /// How many there were in all when the first page was read: counting costs more the more there are, and a page far
  /// down shall cost what the first one does.
  let total: Int64
  /// The last id, if more follow.
  let next: UUID?
  /// As it was asked for.
  let list: String
}

/// Which rows a list shows: tables, and conditions with their values, put together at run time.
struct Selection: Sendable {
  /// The tables, in SQL.
  var tables: String
  /// The column with the ids, in whose order the list is.
  var key: String
  /// Says how many there are, where that is known without counting.
  var keptCount: PostgresQuery?
  /// How long its statements may run, if not as long as any.
  var patience: Duration?
  private var conditions: [@Sendable (inout PostgresQuery.StringInterpolation) -> Void] = []

  init(_ tables: String, key: String) { (self.tables, self.key) = (tables, key) }

  /// `sql`, the value, `end`: `add("name = ", name)`.
  mutating func add(_ sql: String, _ value: some PostgresEncodable, _ end: String = "") {
    conditions.append { $0.append(" AND " + sql, value, end) }
  }

  /// A condition with values of its own.
  mutating func add(_ condition: DeviceCondition) {
    conditions.append { sql in
      sql.appendLiteral(" AND ")
      sql.appendInterpolation(condition)
    }
  }

  /// A condition without a value.
  mutating func add(_ sql: String) { conditions.append { $0.appendLiteral(" AND " + sql) } }

  fileprivate var count: PostgresQuery {
    if let keptCount { return keptCount }
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 300, interpolationCount: conditions.count)
    sql.appendLiteral("SELECT count(*)")
    appendRows(to: &sql)
    return PostgresQuery(stringInterpolation: sql)
  }

  /// `FROM … WHERE …`.
  private func appendRows(to sql: inout PostgresQuery.StringInterpolation) {
    sql.appendLiteral(" FROM \(tables) WHERE true")
    for condition in conditions { condition(&sql) }
  }

  /// First the ids of the page, which is a walk along one index, then the rows of just these.
  func append(
    _ page: PageRequest, _ columns: String, of table: String, to sql: inout PostgresQuery.StringInterpolation
  ) {
    sql.appendLiteral("SELECT \(columns) FROM (SELECT \(key) AS id")
    appendRows(to: &sql)
    if let after = page.after { sql.append(" AND \(key) > ", after) }
    sql.append(" ORDER BY \(key) LIMIT ", Int64(page.limit + 1))
    sql.append(" OFFSET ", Int64(page.offset), ") page JOIN \(table) ORDER BY page.id")
  }

  fileprivate func rows(_ columns: String, of table: String, _ page: PageRequest) -> PostgresQuery {
    var sql = PostgresQuery.StringInterpolation(
      literalCapacity: 600, interpolationCount: conditions.count + 3)
    append(page, columns, of: table, to: &sql)
    return PostgresQuery(stringInterpolation: sql)
  }
}

extension PostgresQuery.StringInterpolation {
  mutating func append(_ sql: String, _ value: some PostgresEncodable, _ end: String = "") {
    appendLiteral(sql)
    appendInterpolation(value)
    appendLiteral(end)
  }
}

extension Querying {
  /// Reads a page of what is selected; the first page also counts.
  /// - Parameter table: where the rows are, joined to the ids: `device t USING (id)`.
  func page<Item>(
    _ page: PageRequest, of selection: Selection, select columns: String, from table: String,
    read: (PostgresRow) throws -> Item
  ) async throws -> Page<Item> {
    // Planned for these values: which index is the best depends on how many rows have them.
    var statements: [PostgresQuery] = ["SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"]
    if let patience = selection.patience {
      let text =
        "\(patience.components.seconds * 1000 + patience.components.attoseconds / 1_000_000_000_000_000)"
      statements.append("SELECT set_config('statement_timeout', \(text), true)")
    }
    statements.append(selection.rows(columns, of: table, page))
    let place = statements.count - 1
    if page.total == nil { statements.append(selection.count) }
    let results = try await pipeline(statements)
    let rows = results[place].prefix(page.limit)
    let more = results[place].count > page.limit
    return Page(
      items: try rows.map(read), total: try page.total ?? results.last?.first?.decode(Int64.self) ?? 0,
      next: more ? try rows.last?["id"].decode(UUID.self) : nil, list: page.list)
  }
}
