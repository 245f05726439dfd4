import Postgres
import Wire

/// What runs statements: the pool, or the connection of a transaction.
protocol Querying: Sendable {
  @discardableResult func query(_ query: PostgresQuery) async throws -> PostgresRows
  @discardableResult func pipeline(_ queries: [PostgresQuery]) async throws -> [PostgresRows]
}

extension PostgresClient: Querying {}
extension PostgresConnection: Querying {}

extension PostgresJSON {
  init(_ object: JSONObject) { self.init(bytes: JSON.object(object).bytes) }
}

extension PostgresCell {
  /// A column that holds JSON which this service has written.
  func json() throws -> JSON {
    try JSON(
      parsing: decode(PostgresJSON.self).bytes, maximumDepth: JSON.defaultDepth + 8, allowsAnyNumber: true)
  }

  /// A column that holds a JSON object, or null.
  func optionalObject() throws -> JSONObject? { isNull ? nil : try json().object }
}
