import CommandsDomain
import FoundationEssentials
import Postgres
import Wire

/// The tables `command` and `open_command`: all of their SQL is in this folder.
struct CommandStore: Sendable {
  let database: PostgresClient

  /// The columns of a command but for its story, in the order in which `command(_:)` reads them.
  private static let columns = """
    id, organisation_id, device_id, type, lane, deliver_seconds, acknowledge_seconds, complete_seconds, traceparent,
    hardware_id, device_type, params, created_at, created_by, status, reason, sent_at, acknowledged_at, completed_at,
    deadline, attempts, result, error_code, error_message, late_outcome, rev, seq
    """

  /// A command and its place in the order of creation.
  private static func command(_ row: PostgresRow) throws -> (seq: Int64, command: Command) {
    let (
      id, organisation, device, type, lane, deliver, acknowledge, complete, traceparent, hardware, deviceType,
      params,
      createdAt, createdBy, status, reason, sentAt, acknowledgedAt, completedAt, deadline, attempts, result,
      errorCode,
      errorMessage, late, rev, seq, timeline
    ) = try row.decode(
      (
        UUID, UUID, String, String, String, Int32, Int32, Int32, String?, String, String?, PostgresJSON, Date,
        String,
        String, String?, Date?, Date?, Date?, Date?, Int32, PostgresJSON?, String?, String?, PostgresJSON?,
        Int64,
        Int64, String?
      ).self)
    let command = Command(
      head: CommandHead(
        id: id, organisationId: organisation, deviceId: device, type: type, lane: lane,
        timeouts: Timeouts(deliver: Int(deliver), acknowledge: Int(acknowledge), complete: Int(complete)),
        traceparent: traceparent),
      hardwareId: hardware, deviceType: deviceType, params: try JSON(stored: params), createdAt: createdAt,
      createdBy: createdBy,
      progress: CommandProgress(
        status: try status.status, reason: reason, sentAt: sentAt, acknowledgedAt: acknowledgedAt,
        completedAt: completedAt, deadline: deadline, attempts: Int(attempts),
        result: try result.map(JSON.init(stored:)),
        error: errorCode.map { CommandFault(code: $0, message: errorMessage ?? "") },
        lateOutcome: try late.map(JSON.init(stored:)), rev: rev,
        timeline: timeline.map(TimelineEntry.read(lines:)) ?? []))
    return (seq, command)
  }

  /// One command of an organisation (of any, for nil).
  func find(_ id: UUID, in organisation: UUID?) async throws -> Command? {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns), timeline FROM command
      WHERE id = \(id) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
      """
    ).first.map(Self.command)?.command
  }

  /// What a list shows.
  struct Filter: Sendable {
    var deviceId: String?
    var organisation: UUID?
    var status: CommandStatus?
    var type: String?
    var since: Date?
    /// The `seq` of the last command of the page before.
    var before: Int64?
    var limit = 100
  }

  /// Commands, newest first, each with its place in the order, and without its story.
  func list(_ filter: Filter) async throws -> [(seq: Int64, command: Command)] {
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 600, interpolationCount: 7)
    sql.appendLiteral("SELECT \(Self.columns), NULL FROM command WHERE true")
    if let deviceId = filter.deviceId { sql.append(" AND device_id = ", deviceId) }
    if let organisation = filter.organisation { sql.append(" AND organisation_id = ", organisation) }
    if let status = filter.status { sql.append(" AND status = ", status.rawValue) }
    if let type = filter.type { sql.append(" AND type = ", type) }
    if let since = filter.since { sql.append(" AND created_at >= ", since) }
    if let before = filter.before { sql.append(" AND seq < ", before) }
    sql.append(" ORDER BY seq DESC LIMIT ", Int64(filter.limit))
    return try await database.query(PostgresQuery(stringInterpolation: sql)).map(Self.command)
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
  init(stored: PostgresJSON) throws { try self.init(parsing: stored.bytes, maximumDepth: 1000) }
}
