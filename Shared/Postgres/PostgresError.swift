/// What went wrong with a database, without values, parameters or secrets.
public struct PostgresError: Error, Sendable, CustomStringConvertible {
  /// Where the fault lies.
  public enum Kind: Sendable, Equatable {
    /// No connection could be had, or it went away. A statement that was under way may or may not have happened.
    case connection
    /// The server refused the statement.
    case server(sqlState: String)
    /// Somebody else cancelled the statement. (A cancelled task gets a `CancellationError` instead.)
    case cancelled
    /// The statement took longer than `statementTimeout`, or no pooled connection came free in time.
    case timeout
    /// A cell does not fit the Swift type it was read as.
    case decoding
    /// The connection URL or another setting is not usable.
    case configuration
    /// Migrations do not fit the database's history.
    case migration
    /// The library was used wrongly: a connection kept after its lease, COPY through `query`.
    case usage
  }

  /// Where the fault lies.
  public let kind: Kind
  /// The server's SQLSTATE of five characters; empty if the fault did not come from the server.
  public let code: String
  /// The violated constraint.
  public let constraint: String?
  /// The table concerned.
  public let table: String?
  /// The column concerned.
  public let column: String?
  /// What happened, in words; holds no values.
  public let message: String

  init(
    _ kind: Kind, _ message: String, code: String = "", constraint: String? = nil, table: String? = nil,
    column: String? = nil
  ) {
    self.kind = kind
    self.message = message
    self.code = code
    self.constraint = constraint
    self.table = table
    self.column = column
  }

  /// Whether the same work, tried again after a moment, may well succeed. The work has to bear being done
  /// twice: after `.connection` and `.timeout` nobody knows whether it was done.
  public var isRetryable: Bool {
    switch kind {
    case .connection, .timeout: true
    case .server(let state): SQLState.isTransient(state)
    case .cancelled, .decoding, .configuration, .migration, .usage: false
    }
  }

  /// One line, without values.
  public var description: String {
    var text = "PostgreSQL: \(message)"
    if !code.isEmpty { text += " [\(code)]" }
    if let constraint { text += ", constraint \(constraint)" }
    if let table { text += ", table \(table)" }
    if let column { text += ", column \(column)" }
    return text
  }

  /// From a server's error fields; `primary` is used only where it can hold no values.
  static func server(
    code: String, primary: String, constraint: String? = nil, table: String? = nil, column: String? = nil
  ) -> PostgresError {
    let message = SQLState.primaryIsSafe(code) ? primary : SQLState.name(code)
    let kind: Kind =
      switch code {
      case "57014": primary.contains("timeout") ? .timeout : .cancelled
      case "57P01", "57P02", "57P03", "25P03", "57P05", "53300": .connection
      case _ where code.hasPrefix("08"): .connection
      default: .server(sqlState: code)
      }
    return PostgresError(kind, message, code: code, constraint: constraint, table: table, column: column)
  }
}

extension PostgresError {
  /// Whether the server has ended the transaction since it and another waited for each other: the same may go through when it
  /// is tried again.
  public var isDeadlock: Bool { code == SQLState.deadlock }
  /// A table has changed under a prepared statement: nothing was done, and the next time it is prepared anew.
  public var isOfStaleStatement: Bool { code == "0A000" || code == "26000" }
}

/// What is known of SQLSTATE codes.
enum SQLState {
  static let deadlock = "40P01"

  /// Classes whose primary message names things of the schema and never data. Class 22 (data exceptions), for
  /// one, quotes the value it does not like, and P0 says whatever a function's author wrote.
  private static let safeClasses: Set<String> = [
    "08", "0A", "21", "23", "25", "26", "28", "2B", "2D", "3B", "3D", "3F", "40", "42", "53", "54", "55",
    "57",
    "58",
  ]

  static func primaryIsSafe(_ code: String) -> Bool { safeClasses.contains(String(code.prefix(2))) }

  /// Serialization failure, deadlock, lock not available, too little of something, trouble of the machine.
  static func isTransient(_ code: String) -> Bool {
    code == "40001" || code == deadlock || code == "55P03" || code.hasPrefix("53") || code.hasPrefix("58")
  }

  /// The documented name of a code, or of its class.
  static func name(_ code: String) -> String {
    names[code] ?? classNames[String(code.prefix(2))] ?? "server error"
  }

  private static let names: [String: String] = [
    "22001": "string_data_right_truncation", "22003": "numeric_value_out_of_range",
    "22004": "null_value_not_allowed", "22007": "invalid_datetime_format", "22008": "datetime_field_overflow",
    "22011": "substring_error", "22012": "division_by_zero", "22021": "character_not_in_repertoire",
    "22023": "invalid_parameter_value", "22025": "invalid_escape_sequence",
    "22026": "string_data_length_mismatch",
    "2202E": "array_subscript_error", "22032": "invalid_json_text", "22P01": "floating_point_exception",
    "22P02": "invalid_text_representation", "22P03": "invalid_binary_representation",
    "22P05": "untranslatable_character", "2201B": "invalid_regular_expression",
    "44000": "with_check_option_violation",
    "P0001": "raise_exception", "P0002": "no_data_found", "P0003": "too_many_rows", "P0004": "assert_failure",
    "XX000": "internal_error", "XX001": "data_corrupted", "XX002": "index_corrupted",
  ]

  private static let classNames: [String: String] = [
    "22": "data exception", "27": "triggered data change violation", "38": "external routine exception",
    "39": "external routine invocation exception", "P0": "PL/pgSQL error", "F0": "configuration file error",
    "XX": "internal error",
  ]
}
