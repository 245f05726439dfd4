/// SQL text with its parameters apart from it.
///
/// `"SELECT name FROM device WHERE id = \(id)"` becomes `… id = $1` with `id` as a binary bind, so no value is
/// ever part of the text, and the text is the key under which the statement stays prepared. The same text with
/// other types of binds is another statement.
public struct PostgresQuery: ExpressibleByStringInterpolation, Sendable, CustomStringConvertible {
  /// The text with `$1`, `$2`, … in the places of the values.
  public private(set) var sql: String
  private(set) var binds: PostgresBinds

  /// SQL without parameters.
  public init(stringLiteral sql: String) { self.init(unsafeSQL: sql) }

  /// SQL made at run time. Never put values into it.
  public init(unsafeSQL sql: String) {
    self.sql = sql
    binds = PostgresBinds()
  }

  /// SQL with binds.
  public init(stringInterpolation parts: StringInterpolation) {
    sql = parts.sql
    binds = parts.binds
  }

  /// The text without values.
  public var description: String { sql }

  /// Collects text and binds.
  public struct StringInterpolation: StringInterpolationProtocol, Sendable {
    var sql = ""
    var binds = PostgresBinds()

    /// Called by the compiler.
    public init(literalCapacity: Int, interpolationCount: Int) {
      sql.reserveCapacity(literalCapacity + 3 * interpolationCount)
    }

    /// Text is taken as it is.
    public mutating func appendLiteral(_ literal: String) { sql += literal }

    /// A value becomes a bind.
    public mutating func appendInterpolation<T: PostgresEncodable>(_ value: T) {
      binds.append(value)
      sql += "$\(binds.cells.count)"
    }

    /// A value or null becomes a bind. (Without it the compiler warns of every optional in a query.)
    public mutating func appendInterpolation<T: PostgresEncodable>(_ value: T?) {
      binds.append(value)
      sql += "$\(binds.cells.count)"
    }

    /// Text of the program's own (the name of a table) that becomes part of the SQL. Never a value.
    public mutating func appendInterpolation(unescaped text: String) { sql += text }
  }
}
