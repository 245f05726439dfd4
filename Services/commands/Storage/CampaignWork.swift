import CommandsDomain
import Directory
import FoundationEssentials
import Postgres
import Wire

/// A campaign whose turn it is, its row locked: what decides on its next step.
struct CampaignWork: Sendable {
  /// What is to be done next.
  enum Piece: Sendable, Equatable {
    /// It is over: its devices are forgotten.
    case forgetting
    /// What is PENDING is cancelled, of devices after that one.
    case cancelling(after: String)
    /// Those without a command get one that is cancelled.
    case givingUp
    /// Those without a command get one.
    case making
    /// The registry has yet to name more devices.
    case selecting
    /// Every device has its command: it is over when none is open, which is known of devices before that one.
    case ending(from: String)
  }

  let id: UUID
  let organisationId: UUID
  /// What each device gets.
  let command: CommandsService.Request
  /// What it takes as text, in bytes.
  let size: Int
  let createdBy: String
  let cancelledBy: String?
  let traceparent: String?
  let pace: CampaignPace
  let paidUntil: Date?
  let made: Int64
  /// The database's time.
  let now: Date
  let piece: Piece

  init(_ row: PostgresRow) throws {
    id = try row["id"].decode()
    organisationId = try row["organisation_id"].decode()
    let request: [UInt8] = try row["request"].decode()
    var fields = JSONFields(try JSON(parsing: request, maximumDepth: 1000))
    var command = CommandsService.Request(&fields)
    command.bulkId = id
    (self.command, size) = (command, request.count)
    createdBy = try row["created_by"].decode()
    cancelledBy = try row["cancelled_by"].decode()
    traceparent = try row["traceparent"].decode()
    pace = CampaignPace(perMinute: try row["rate_per_minute"].decode(Int32?.self).map { Int($0) })
    paidUntil = try row["paid_until"].decode()
    made = try row["made"].decode()
    now = try row["now"].decode()
    piece = try Self.piece(row)
  }

  private static func piece(_ row: PostgresRow) throws -> Piece {
    let isOver = try row["is_dry"].decode(Bool.self) || row["finished_at"].decode(Date?.self) != nil
    if isOver { return .forgetting }
    let hasWaiting = try row["made"].decode(Int64.self) < row["total"].decode(Int64.self)
    if try row["status"].decode(String.self) == Campaign.Status.cancelled.rawValue {
      if let device = try row["cancelled_to"].decode(String?.self) { return .cancelling(after: device) }
      if hasWaiting { return .givingUp }
    }
    if hasWaiting { return .making }
    if try row["next_page"].decode(Int32?.self) != nil { return .selecting }
    return .ending(from: try row["looked_to"].decode())
  }
}

/// A device of a campaign that has no command yet.
struct CampaignMember: Sendable {
  let number: Int64
  let deviceId: String
  let retryOf: UUID?
  /// As the copy of the registry has it; nil if it does not.
  let device: DeviceEntity?
  /// It is known that it is no more.
  let isGone: Bool
}

extension CampaignStore {
  private static let workColumns = """
    id, organisation_id, status, is_dry, request, rate_per_minute, traceparent, created_by, cancelled_by, finished_at, total,
    made, next_page, paid_until, cancelled_to, looked_to, clock_timestamp() AS now
    """

  /// In how many seconds something is to be done for a campaign; nil if for none.
  func nextRun() async throws -> Double? {
    try await database.query(
      """
      SELECT extract(epoch FROM run_at - clock_timestamp())::float8 FROM campaign WHERE run_at IS NOT NULL
      ORDER BY run_at LIMIT 1
      """
    ).first?.decode(Double.self)
  }

  /// The campaign whose turn it is, locked; every replica takes another.
  static var due: PostgresQuery {
    """
    SELECT \(unescaped: workColumns) FROM campaign WHERE run_at <= now() ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED
    """
  }

  /// That campaign, locked.
  static func work(_ campaign: UUID) -> PostgresQuery {
    "SELECT \(unescaped: workColumns) FROM campaign WHERE id = \(campaign) FOR UPDATE"
  }

  /// How many of its last commands are on their way to the broker.
  static func inFlight(_ campaign: UUID, ofLast window: Int) -> PostgresQuery {
    """
    SELECT count(*) FROM (
      SELECT id, status FROM command WHERE bulk_id = \(campaign) ORDER BY seq DESC LIMIT \(Int64(window))
    ) c JOIN open_command o USING (id) WHERE c.status = 'PENDING' AND o.epoch IS NOT NULL
    """
  }

  /// How many campaigns have commands to be made.
  static var running: PostgresQuery {
    """
    SELECT count(*) FROM campaign WHERE run_at IS NOT NULL AND NOT is_dry AND status = 'RUNNING' AND made < total
    """
  }

  /// How many devices wait for a turn that is due.
  static func turnsDue(atMost limit: Int) -> PostgresQuery {
    "SELECT count(*) FROM (SELECT FROM waiting_device WHERE try_at <= now() LIMIT \(Int64(limit))) w"
  }

  /// The next devices without a command.
  static func members(_ work: CampaignWork, limit: Int) -> PostgresQuery {
    """
    SELECT m.number, m.device_id, m.retry_of, d.id, d.mcu_id, d.soc, d.board_id, d.rev,
      m.device IS NULL OR EXISTS (SELECT FROM directory_deletion x WHERE x.kind = 'device' AND x.id = m.device) AS is_gone
    FROM campaign_device m
    LEFT JOIN directory_device d ON d.id = m.device AND d.organisation_id = \(work.organisationId)
    WHERE m.campaign_id = \(work.id) AND m.number > \(work.made) ORDER BY m.number LIMIT \(Int64(limit))
    """
  }

  static func member(_ row: PostgresRow, of work: CampaignWork) throws -> CampaignMember {
    let deviceId: String = try row["device_id"].decode()
    let device = try row["id"].decode(UUID?.self).map { id in
      DeviceEntity(
        id: id, deviceId: deviceId, mcuId: try row["mcu_id"].decode(), soc: try row["soc"].decode(),
        boardId: try row["board_id"].decode(), organisationId: work.organisationId,
        rev: try row["rev"].decode())
    }
    return CampaignMember(
      number: try row["number"].decode(), deviceId: deviceId, retryOf: try row["retry_of"].decode(),
      device: device, isGone: try row["is_gone"].decode())
  }

  /// The devices up to that number have their commands.
  static func made(_ work: CampaignWork, upTo number: Int64, paidUntil: Date?, pause: Double) -> PostgresQuery
  {
    """
    UPDATE campaign SET made = \(number), paid_until = \(paidUntil)::timestamptz,
      run_at = clock_timestamp() + \(pause)::float8 * interval '1 s' WHERE id = \(work.id)
    """
  }

  static func pause(_ work: CampaignWork, seconds: Double) -> PostgresQuery {
    "UPDATE campaign SET run_at = clock_timestamp() + \(seconds)::float8 * interval '1 s' WHERE id = \(work.id)"
  }

  /// Something is wrong with it: others go first.
  func postpone(_ campaign: UUID) async throws {
    try await database.query("UPDATE campaign SET run_at = now() + interval '5 s' WHERE id = \(campaign)")
  }

  /// No more commands are made of it, and what has not been sent is to be cancelled.
  static func cancel(_ campaign: UUID, by name: String) -> PostgresQuery {
    """
    UPDATE campaign SET status = 'CANCELLED', cancelled_by = \(name), cancelled_to = '', next_page = NULL, rev = rev + 1,
      run_at = now() WHERE id = \(campaign)
    """
  }

  /// A page of its commands after a device, and which of them are PENDING.
  static func page(_ campaign: UUID, after device: String, limit: Int) -> PostgresQuery {
    """
    SELECT id, device_id, status = 'PENDING' FROM command WHERE bulk_id = \(campaign) AND device_id > \(device)
    ORDER BY device_id LIMIT \(Int64(limit))
    """
  }

  /// - Parameter device: nil when all that was PENDING is cancelled.
  static func cancelled(_ work: CampaignWork, to device: String?) -> PostgresQuery {
    "UPDATE campaign SET cancelled_to = \(device)::text, run_at = clock_timestamp() WHERE id = \(work.id)"
  }

  /// The first device from that one on whose command is open.
  static func firstOpen(_ work: CampaignWork, from device: String) -> PostgresQuery {
    """
    SELECT device_id FROM command WHERE bulk_id = \(work.id) AND device_id >= \(device) AND deadline IS NOT NULL
    ORDER BY device_id LIMIT 1
    """
  }

  /// Its command is open: looks again in a while.
  static func look(_ work: CampaignWork, at device: String) -> PostgresQuery {
    """
    UPDATE campaign SET looked_to = \(device), run_at = clock_timestamp() + interval '0.5 s' WHERE id = \(work.id)
    """
  }

  /// It is over, with these counts.
  static func finish(_ work: CampaignWork, _ counts: CampaignCounts) -> PostgresQuery {
    """
    UPDATE campaign SET status = CASE status WHEN 'RUNNING' THEN 'DONE' ELSE status END, finished_at = clock_timestamp(),
      counts = \(PostgresJSON(bytes: counts.json.bytes)), rev = rev + 1, run_at = now() WHERE id = \(work.id)
    """
  }

  /// Forgets so many devices of a campaign that is over, and with the last of them that there is anything to do; a dry run is
  /// gone with them.
  static func forget(_ work: CampaignWork, limit: Int) -> [PostgresQuery] {
    [
      """
      DELETE FROM campaign_device WHERE campaign_id = \(work.id) AND number <= (
        SELECT min(number) FROM campaign_device WHERE campaign_id = \(work.id)) + \(Int64(limit))
      """,
      """
      UPDATE campaign SET run_at = CASE WHEN EXISTS (SELECT FROM campaign_device d WHERE d.campaign_id = campaign.id)
        THEN clock_timestamp() + interval '50 ms' END
      WHERE id = \(work.id)
      """,
      "DELETE FROM campaign WHERE id = \(work.id) AND is_dry AND run_at IS NULL",
    ]
  }
}
