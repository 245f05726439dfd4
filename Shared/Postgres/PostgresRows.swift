/// A statement's answer: its rows, and how many it touched.
public struct PostgresRows: RandomAccessCollection, Sendable {
  private let result: RawResult?

  init(_ result: RawResult?) { self.result = result }

  /// Zero.
  public var startIndex: Int { 0 }
  /// The number of rows.
  public var endIndex: Int { result?.rowCount ?? 0 }
  /// A row by its number.
  public subscript(index: Int) -> PostgresRow {
    precondition(indices.contains(index), "no such row")
    return PostgresRow(result, index)
  }

  /// Rows that an INSERT, UPDATE, DELETE or MERGE touched, or that a SELECT gave.
  public var affectedRows: Int { result?.affectedRows ?? 0 }

  /// The only column of every row.
  /// - Throws: `PostgresError` of kind `.decoding`.
  public func decode<T: PostgresDecodable>(_ type: T.Type) throws -> [T] { try map { try $0.decode(type) } }

  /// Every row as a tuple of its columns in order: `rows.decode((UUID, String).self)`.
  /// - Throws: `PostgresError` of kind `.decoding`.
  public func decode<each T: PostgresDecodable>(_ type: (repeat each T).Type) throws -> [(repeat each T)] {
    try map { try $0.decode(type) }
  }
}

/// One row.
public struct PostgresRow: Sendable {
  private let result: RawResult?
  private let row: Int

  init(_ result: RawResult?, _ row: Int) {
    self.result = result
    self.row = row
  }

  /// The row's only column.
  /// - Throws: `PostgresError` of kind `.decoding`, also if there are more.
  public func decode<T: PostgresDecodable>(_ type: T.Type) throws -> T {
    guard let result, result.columnCount == 1 else { throw countFault(1) }
    return try T(postgres: PostgresCell(result, row: row, column: 0))
  }

  private func countFault(_ wanted: Int) -> PostgresError {
    PostgresError(.decoding, "the row has \(result?.columnCount ?? 0) columns, not \(wanted)")
  }

  /// The row as a tuple of its columns in order: `row.decode((UUID, String?).self)`.
  /// - Throws: `PostgresError` of kind `.decoding`, also if the number of columns differs.
  public func decode<each T: PostgresDecodable>(_ type: (repeat each T).Type) throws -> (repeat each T) {
    var count = 0
    for _ in repeat (each T).self { count += 1 }
    guard let result, result.columnCount == count else { throw countFault(count) }
    var column = -1
    func next<U: PostgresDecodable>(_: U.Type) throws -> U {
      column += 1
      return try U(postgres: PostgresCell(result, row: row, column: column))
    }
    return (repeat try next((each T).self))
  }

  /// The cell of a column; one that does not exist fails when it is read.
  public subscript(_ column: String) -> PostgresCell {
    guard let result, let index = result.column(named: column) else { return PostgresCell(missing: column) }
    return PostgresCell(result, row: row, column: index)
  }

  /// The columns' names in order.
  public var columns: [String] {
    guard let result else { return [] }
    return (0..<result.columnCount).map(result.name)
  }
}
