import CPQ
import Glibc
import Synchronization

/// Owns one `PGresult`.
///
/// `@unchecked Sendable`: libpq never changes a result once `PQgetResult` has given it out, all functions used
/// here only read it, and it is freed in `deinit`, when nobody else has it. Where the next column is sought is atomic.
final class RawResult: @unchecked Sendable {
  /// What kind of answer it is.
  enum Status {
    case rows, done, empty, pipelineEnd, aborted, failed
    /// Something this room does not speak (COPY).
    case foreign
  }

  private let pointer: OpaquePointer
  let status: Status
  let rowCount: Int
  let columnCount: Int
  /// Columns are mostly asked for in their order: the search begins behind the one that was found last.
  private let nextColumn = Atomic(0)

  init(_ pointer: OpaquePointer) {
    self.pointer = pointer
    status =
      switch PQresultStatus(pointer) {
      case PGRES_TUPLES_OK: .rows
      case PGRES_COMMAND_OK: .done
      case PGRES_EMPTY_QUERY: .empty
      case PGRES_PIPELINE_SYNC: .pipelineEnd
      case PGRES_PIPELINE_ABORTED: .aborted
      case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE, PGRES_NONFATAL_ERROR: .failed
      default: .foreign
      }
    rowCount = Int(PQntuples(pointer))
    columnCount = Int(PQnfields(pointer))
  }

  deinit { PQclear(pointer) }

  /// Rows that the command touched or gave, from its command tag.
  var affectedRows: Int {
    guard let text = PQcmdTuples(pointer) else { return 0 }
    return Int(String(cString: text)) ?? 0
  }

  /// The command tag, such as `COMMIT`.
  var tag: String { PQcmdStatus(pointer).map { String(cString: $0) } ?? "" }

  /// A cell's bytes, nil for null. They live as long as the result.
  func bytes(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer? {
    let row = Int32(truncatingIfNeeded: row)
    let column = Int32(truncatingIfNeeded: column)
    guard PQgetisnull(pointer, row, column) == 0 else { return nil }
    return UnsafeRawBufferPointer(
      start: PQgetvalue(pointer, row, column), count: Int(PQgetlength(pointer, row, column)))
  }

  func type(_ column: Int) -> UInt32 { PQftype(pointer, Int32(truncatingIfNeeded: column)) }

  func name(_ column: Int) -> String {
    PQfname(pointer, Int32(truncatingIfNeeded: column)).map { String(cString: $0) } ?? "?"
  }

  /// The column of this name; of two that have it, either. (`PQfnumber` folds upper case, which breaks `AS "deviceId"`.)
  func column(named name: String) -> Int? {
    var name = name
    return name.withUTF8 { bytes in
      let name = UnsafeRawBufferPointer(bytes).assumingMemoryBound(to: CChar.self)
      let start = nextColumn.load(ordering: .relaxed)
      for offset in 0..<columnCount {
        let column = start + offset < columnCount ? start + offset : start + offset - columnCount
        guard let found = PQfname(pointer, Int32(truncatingIfNeeded: column)), let wanted = name.baseAddress,
          strncmp(found, wanted, name.count) == 0, found[name.count] == 0
        else { continue }
        nextColumn.store(column + 1 < columnCount ? column + 1 : 0, ordering: .relaxed)
        return column
      }
      return nil
    }
  }

  /// The server's error, without its DETAIL, which holds values.
  var error: PostgresError {
    func field(_ code: Int) -> String? {
      PQresultErrorField(pointer, Int32(code)).map { String(cString: $0) }
    }
    return .server(
      code: field(CPQ_DIAG_SQLSTATE) ?? "", primary: field(CPQ_DIAG_MESSAGE_PRIMARY) ?? "",
      constraint: field(CPQ_DIAG_CONSTRAINT_NAME), table: field(CPQ_DIAG_TABLE_NAME),
      column: field(CPQ_DIAG_COLUMN_NAME))
  }
}
