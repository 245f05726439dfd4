import CommandsDomain
import FoundationEssentials
import Postgres
import Wire

/// The tables `command` and `open_command`: all of their SQL is in this folder.
struct CommandStore: Sendable {
  let database: PostgresClient

  /// The columns of a command but for its story.
  private static let columns = """
    id, organisation_id, device_id, type, lane, deliver_seconds, acknowledge_seconds, complete_seconds, traceparent,
    hardware_id, device_type, params, created_at, created_by, status, reason, sent_at, acknowledged_at, completed_at,
    deadline, attempts, result, error_code, error_message, late_outcome, progress, retry_of, retried_by, bulk_id, rev, seq,
    exclusive, wait_ms, wait_ms IS NOT NULL AND heard_at IS NULL AS awaits_device, device_record, own
    """

  /// What never changes of a command.
  static func head(_ row: PostgresRow) throws -> CommandHead {
    CommandHead(
      id: try row["id"].decode(), organisationId: try row["organisation_id"].decode(),
      deviceId: try row["device_id"].decode(), type: try row["type"].decode(), lane: try row["lane"].decode(),
      timeouts: Timeouts(
        deliver: try row["deliver_seconds"].decode(), acknowledge: try row["acknowledge_seconds"].decode(),
        complete: try row["complete_seconds"].decode()),
      traceparent: try row["traceparent"].decode())
  }

  /// A command and its place in the order of creation.
  private static func command(_ row: PostgresRow) throws -> (seq: Int64, command: Command) {
    let command = Command(
      head: try head(row), hardwareId: try row["hardware_id"].decode(),
      deviceType: try row["device_type"].decode(),
      params: try JSON(stored: row["params"].decode()),
      delivery: Delivery(
        isExclusive: try row["exclusive"].decode(), waitMilliseconds: try row["wait_ms"].decode()),
      deviceRecord: try row["device_record"].decode(), createdAt: try row["created_at"].decode(),
      createdBy: try row["created_by"].decode(), retryOf: try row["retry_of"].decode(),
      retriedBy: try row["retried_by"].decode(), bulkId: try row["bulk_id"].decode(),
      own: try own(row), state: try state(row))
    return (try row["seq"].decode(), command)
  }

  static func own(_ row: PostgresRow) throws -> OwnCommand? {
    try row["own"].decode(PostgresJSON?.self).flatMap { OwnCommand(stored: try JSON(stored: $0)) }
  }

  private static func state(_ row: PostgresRow) throws -> CommandState {
    let error = try row["error_code"].decode(String?.self).map { code in
      CommandFault(code: code, message: try row["error_message"].decode(String?.self) ?? "")
    }
    return CommandState(
      status: try row["status"].decode(String.self).status, reason: try row["reason"].decode(),
      sentAt: try row["sent_at"].decode(), acknowledgedAt: try row["acknowledged_at"].decode(),
      completedAt: try row["completed_at"].decode(), deadline: try row["deadline"].decode(),
      attempts: try row["attempts"].decode(),
      result: try row["result"].decode(PostgresJSON?.self).map(JSON.init(stored:)), error: error,
      awaitsDevice: try row["awaits_device"].decode(),
      lateOutcome: try row["late_outcome"].decode(PostgresJSON?.self).map(JSON.init(stored:)),
      progress: try row["progress"].decode(PostgresJSON?.self).map(JSON.init(stored:)),
      rev: try row["rev"].decode(),
      timeline: try row["timeline"].decode(String?.self).map(TimelineEntry.read(lines:)) ?? [])
  }

  /// One command of an organisation (of any, for nil).
  func find(_ id: UUID, in organisation: UUID?) async throws -> Command? {
    try await database.query(Self.find(id, in: organisation)).first.map(Self.command)?.command
  }

  /// As the transaction of this connection has left it.
  func find(_ id: UUID, on connection: PostgresConnection) async throws -> Command? {
    try await connection.query(Self.find(id, in: nil)).first.map(Self.command)?.command
  }

  private static func find(_ id: UUID, in organisation: UUID?) -> PostgresQuery {
    """
    SELECT \(unescaped: columns), timeline FROM command
    WHERE id = \(id) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
    """
  }

  /// What a list shows.
  struct Filter: Sendable {
    var device: DeviceEntity?
    var organisation: UUID?
    var bulkId: UUID?
    var status: CommandStatus?
    var reason: String?
    var type: String?
    var since: Date?
    /// The `seq` of the last command of the page before.
    var before: Int64?
    var limit = 100
  }

  /// A page of a list.
  struct Page: Sendable {
    var commands: [Command] = []
    /// The `seq` of the last of them, if more follow.
    var next: Int64?
  }

  /// Beyond so many bytes of what callers and devices said a page ends early: each command may have some MiB.
  static let pageBytes: Int64 = 16 << 20

  /// Commands, newest first, without their stories.
  func list(_ filter: Filter, atMost bytes: Int64 = Self.pageBytes) async throws -> Page {
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 1200, interpolationCount: 10)
    sql.appendLiteral(
      """
      SELECT \(Self.columns), NULL::text AS timeline, found FROM (
        SELECT *, count(*) OVER () AS found, sum(octet_length(params::text) + coalesce(octet_length(result::text), 0)
            + coalesce(octet_length(late_outcome::text), 0) + coalesce(octet_length(own::text), 0)
            + coalesce(octet_length(error_message), 0))
            OVER (ORDER BY seq DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
        FROM (SELECT * FROM command WHERE true
      """)
    if let device = filter.device {
      sql.append(" AND device_id = ", device.deviceId)
      // Of the record: one that had this deviceId before has a history of its own.
      sql.append(" AND (device_record IS NULL OR device_record = ", device.id)
      sql.appendLiteral(")")
    }
    if let organisation = filter.organisation { sql.append(" AND organisation_id = ", organisation) }
    if let bulkId = filter.bulkId { sql.append(" AND bulk_id = ", bulkId) }
    if let reason = filter.reason { sql.append(" AND reason = ", reason) }
    if let status = filter.status { sql.append(" AND status = ", status.rawValue) }
    if let type = filter.type { sql.append(" AND type = ", type) }
    if let since = filter.since { sql.append(" AND created_at >= ", since) }
    if let before = filter.before { sql.append(" AND seq < ", before) }
    sql.append(" ORDER BY seq DESC LIMIT ", Int64(filter.limit) + 1)
    sql.append(") page) sized WHERE bytes_before IS NULL OR bytes_before <= ", bytes)
    sql.appendLiteral(" ORDER BY seq DESC")
    let rows = try await database.query(PostgresQuery(stringInterpolation: sql))
    let found = try rows.map(Self.command).prefix(filter.limit)
    let hasMore = try rows.first.map { try $0["found"].decode(Int.self) > found.count } ?? false
    return Page(commands: found.map(\.command), next: hasMore ? found.last?.seq : nil)
  }
}

extension String {
  /// - Throws: `UnknownStatus` for a word that this version does not know.
  var status: CommandStatus {
    get throws {
      guard let status = CommandStatus(rawValue: self) else { throw UnknownStatus(word: self) }
      return status
    }
  }
}

/// A status in the database that this version does not know.
struct UnknownStatus: Error {
  let word: String
}

extension PostgresQuery.StringInterpolation {
  /// A piece of SQL and the value that ends it.
  mutating func append(_ piece: String, _ value: some PostgresEncodable) {
    appendLiteral(piece)
    appendInterpolation(value)
  }
}

extension JSON {
  init(stored: PostgresJSON) throws {
    try self.init(parsing: stored.bytes, maximumDepth: 1000, allowsAnyNumber: true)
  }
}
