import FoundationEssentials

/// Where a database is and how to use it.
///
/// No description of it, however made, shows the password.
public struct PostgresConfiguration: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
  /// The server's host name, address, or folder of its Unix socket.
  public let host: String
  /// The server's port.
  public let port: Int
  /// The login role.
  public let user: String
  /// The database's name.
  public let database: String
  /// The schema that names without one are looked up in (`search_path`); nil leaves the server's setting.
  public var schema: String?
  /// What `pg_stat_activity` shows.
  public var applicationName: String
  /// How many connections the pool opens at most.
  public var maximumConnections: Int
  /// How long connecting may take, and how long a query waits while there is no connection at all.
  public var connectTimeout: Duration
  /// How long one statement may run, at the server and (three seconds later) here; nil for ever.
  public var statementTimeout: Duration?
  /// More server settings for every session, such as `plan_cache_mode`; names and values are the program's own.
  public var settings: [(name: String, value: String)] = []

  let password: Secret?
  /// Options of the URL that libpq takes as they are (`sslmode`, …).
  let extra: [(String, String)]

  /// - Parameters:
  ///   - url: `postgresql://user:password@host:port/database`, each part percent-encoded; for a Unix socket
  ///     the host is its percent-encoded folder. `sslmode`, `sslrootcert`, `sslcert`, `sslkey` and
  ///     `channel_binding` may follow as a query.
  ///   - schema: the `search_path`.
  ///   - applicationName: what `pg_stat_activity` shows.
  ///   - maximumConnections: the pool's size.
  ///   - connectTimeout: how long connecting, and waiting for a connection while there is none, may take.
  ///   - statementTimeout: how long a statement may run.
  /// - Throws: `PostgresError` of kind `.configuration`, which does not repeat the URL.
  public init(
    url: String, schema: String?, applicationName: String, maximumConnections: Int = 8,
    connectTimeout: Duration = .seconds(5), statementTimeout: Duration? = .seconds(30)
  ) throws {
    let parts = try PostgresURL(url)
    guard maximumConnections > 0 else { throw PostgresURL.fault("at least one connection is needed") }
    host = parts.host
    port = parts.port
    user = parts.user
    password = parts.password.map(Secret.init)
    database = parts.database
    extra = parts.options
    self.schema = schema
    self.applicationName = applicationName
    self.maximumConnections = maximumConnections
    self.connectTimeout = connectTimeout
    self.statementTimeout = statementTimeout
  }

  /// Host, port, database and user; no password.
  public var description: String { "postgresql://\(user)@\(host):\(port)/\(database)" }
  /// The same as `description`.
  public var debugDescription: String { description }
}

/// A text that no description shows, not even `dump`'s.
struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  let revealed: String
  var description: String { "…" }
  var debugDescription: String { "…" }
  var customMirror: Mirror { Mirror(self, children: []) }
}

extension PostgresConfiguration {
  /// libpq's keywords for one connection to one of `addresses` (empty for a Unix socket).
  func parameters(addresses: [String]) -> [(String, String)] {
    let count = max(1, addresses.count)
    var all = [
      ("host", Array(repeating: host, count: count).joined(separator: ",")),
      ("port", Array(repeating: String(port), count: count).joined(separator: ",")),
      ("dbname", database), ("user", user), ("application_name", applicationName),
      ("client_encoding", "UTF8"),
      ("options", startupOptions), ("gssencmode", "disable"),
      // A peer that vanished without a word is noticed within about 15 s.
      ("keepalives_idle", "5"), ("keepalives_interval", "5"), ("keepalives_count", "2"),
      ("tcp_user_timeout", "15000"),
    ]
    if !addresses.isEmpty { all.append(("hostaddr", addresses.joined(separator: ","))) }
    if let password { all.append(("password", password.revealed)) }
    return all + extra
  }

  private var startupOptions: String {
    var settings = [
      ("jit", "off"), ("timezone", "UTC"), ("idle_in_transaction_session_timeout", "10000"),
      ("statement_timeout", String(statementTimeout?.milliseconds ?? 0)),
    ]
    if let schema {
      settings.append(
        (
          "search_path",
          "\"\(schema.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\""))\""
        ))
    }
    settings += self.settings.map { ($0.name, $0.value) }
    return settings.map { "-c \($0)=\(Self.escaped($1))" }.joined(separator: " ")
  }

  /// Spaces and backslashes separate options unless escaped.
  private static func escaped(_ value: String) -> String {
    var text = ""
    for character in value {
      if character == " " || character == "\\" { text.append("\\") }
      text.append(character)
    }
    return text
  }
}

extension Duration {
  /// Whole milliseconds, at least one for anything above zero.
  var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1000)
    if overflow { return Int64(Int32.max) }
    let sum = whole + attoseconds / 1_000_000_000_000_000
    return sum == 0 && self > .zero ? 1 : min(sum, Int64(Int32.max))
  }
}
