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
}

/// A part of a list, in the order of the ids, which is that of creation.
struct Page<Item: Sendable>: Sendable {
  let items: [Item]
  /// How many there were in all when the first page was read: counting costs more the more there are, and a page far
  /// down shall cost what the first one does.
  let total: Int64
  /// The last id, if more follow.
  let next: UUID?
}

/// Conditions of a statement that is put together at run time, each with its value.
struct Conditions: Sendable {
  private var parts: [@Sendable (inout PostgresQuery.StringInterpolation) -> Void] = []

  /// `sql`, the value, `end`: `add("name = ", name)`.
  mutating func add(_ sql: String, _ value: some PostgresEncodable, _ end: String = "") {
    parts.append {
      $0.appendLiteral(" AND " + sql)
      $0.appendInterpolation(value)
      $0.appendLiteral(end)
    }
  }

  /// A condition without a value.
  mutating func add(_ sql: String) { parts.append { $0.appendLiteral(" AND " + sql) } }

  fileprivate func statement(_ select: String, _ page: PageRequest?) -> PostgresQuery {
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 500, interpolationCount: parts.count + 3)
    sql.appendLiteral(select + " WHERE true")
    for part in parts { part(&sql) }
    guard let page else { return PostgresQuery(stringInterpolation: sql) }
    if let after = page.after { sql.appendInterpolation(" AND t.id > ", after) }
    sql.appendInterpolation(" ORDER BY t.id LIMIT ", Int64(page.limit + 1))
    sql.appendInterpolation(" OFFSET ", Int64(page.offset))
    return PostgresQuery(stringInterpolation: sql)
  }
}

extension PostgresQuery.StringInterpolation {
  fileprivate mutating func appendInterpolation(_ sql: String, _ value: some PostgresEncodable) {
    appendLiteral(sql)
    appendInterpolation(value)
  }
}

extension Querying {
  /// Reads a page of `source`, whose table with the ids is called `t`; the first page also counts.
  func page<Item>(
    _ page: PageRequest, select columns: String, from source: String, where conditions: Conditions,
    read: (PostgresRow) throws -> Item
  ) async throws -> Page<Item> {
    var statements = [conditions.statement("SELECT \(columns) FROM \(source)", page)]
    if page.total == nil { statements.append(conditions.statement("SELECT count(*) FROM \(source)", nil)) }
    let results = try await pipeline(statements)
    let rows = results[0].prefix(page.limit)
    let more = results[0].count > page.limit
    return Page(
      items: try rows.map(read), total: try page.total ?? results[1].first?.decode(Int64.self) ?? 0,
      next: more ? try rows.last?["id"].decode(UUID.self) : nil)
  }
}
