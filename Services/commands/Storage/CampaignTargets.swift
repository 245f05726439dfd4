import CommandsDomain
import FoundationEssentials
import Postgres
import Wire

/// The table `campaign_device`: which devices a campaign has. Whoever writes it has the campaign's row locked.
extension CampaignStore {
  /// Which devices of the copy of the registry are meant.
  enum Source: Sendable {
    case group(UUID)
    case board(UUID)
    case sensorProfile(UUID)
    /// By their record ids.
    case devices([UUID])
  }

  /// Gives a new campaign its devices as they are now, in one statement, however many.
  /// - Returns: a row with how many.
  static func fill(_ campaign: Campaign, with source: Source) -> PostgresQuery {
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 900, interpolationCount: 6)
    // Where a deviceId was given again its deletion may come after its next owner.
    sql.append(
      """
      WITH wanted AS (
        SELECT DISTINCT ON (device_id) id, device_id FROM directory_device WHERE organisation_id =\u{20}
      """, campaign.organisationId)
    switch source {
    case .group(let id): sql.append(" AND group_ids @> ARRAY[", id, "::uuid]")
    case .board(let id): sql.append(" AND board_id = ", id)
    case .sensorProfile(let id):
      let component: JSON = [["sensorProfileId": .string(id.text)]]
      sql.append(" AND components @> ", PostgresJSON(bytes: component.bytes))
    case .devices(let ids): sql.append(" AND id = ANY(", ids, "::uuid[])")
    }
    sql.appendLiteral(" ORDER BY device_id, id DESC), ")
    sql.fill(campaign.id, "SELECT id, device_id, NULL::uuid FROM wanted")
    return PostgresQuery(stringInterpolation: sql)
  }

  /// Gives a new campaign the devices of another whose command is FAILED or TIMEOUT, and was not cancelled.
  static func fill(_ campaign: Campaign, withFailuresOf other: UUID) -> PostgresQuery {
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 900, interpolationCount: 6)
    sql.append(
      """
      WITH failed AS MATERIALIZED (
        SELECT m.id, m.device_id, m.device_record FROM command m
        WHERE m.status IN ('FAILED', 'TIMEOUT') AND m.reason IS DISTINCT FROM 'cancelled' AND m.bulk_id =\u{20}
      """, other)
    sql.append(
      """
       ORDER BY m.seq
      ), wanted AS (
        SELECT f.id, f.device_id, (
          SELECT d.id FROM directory_device d WHERE d.device_id = f.device_id AND d.organisation_id =\u{20}
      """, campaign.organisationId,
      " AND (f.device_record IS NULL OR d.id = f.device_record) ORDER BY d.id DESC LIMIT 1) AS device FROM failed f), "
    )
    sql.fill(campaign.id, "SELECT device, device_id, id FROM wanted")
    return PostgresQuery(stringInterpolation: sql)
  }

  /// Whether a page of the registry's answer is the one that comes next: locks the campaign.
  /// - Returns: a row with the number of the page that comes next; null if none does.
  static func nextPage(of campaign: UUID) -> PostgresQuery {
    "SELECT next_page FROM campaign WHERE id = \(campaign) FOR UPDATE"
  }

  /// Adds a page of the registry's answer, which comes next.
  static func add(_ page: SelectedDevices) -> PostgresQuery {
    """
    WITH new AS MATERIALIZED (
      SELECT u.device, u.device_id, row_number() OVER (ORDER BY u.place) AS place
      FROM unnest(\(page.devices.map(\.id))::uuid[], \(page.devices.map(\.deviceId))::text[])
        WITH ORDINALITY AS u (device, device_id, place)
      WHERE NOT EXISTS (
        SELECT FROM campaign_device d WHERE d.campaign_id = \(page.id) AND d.device_id = u.device_id)
    ), added AS (
      INSERT INTO campaign_device (campaign_id, number, device, device_id)
      SELECT c.id, c.total + n.place, n.device, n.device_id FROM new n JOIN campaign c ON c.id = \(page.id)
      RETURNING 1
    )
    UPDATE campaign SET total = total + (SELECT count(*) FROM added),
      next_page = CASE WHEN NOT \(page.isLast) THEN next_page + 1 END,
      run_at = CASE WHEN is_dry THEN run_at ELSE LEAST(run_at, now()) END
    WHERE id = \(page.id)
    """
  }

  /// The registry has no answer: there is nothing to be done.
  static func abandon(_ campaign: UUID, because reason: String) -> PostgresQuery {
    """
    UPDATE campaign SET next_page = NULL, reason = \(reason), status = 'CANCELLED', rev = rev + 1,
      cancelled_by = 'martlet', cancelled_to = '', run_at = CASE WHEN is_dry THEN run_at ELSE now() END
    WHERE id = \(campaign) AND status = 'RUNNING'
    """
  }

  /// Whether all devices are known, and why they will not be.
  func selection(of campaign: UUID) async throws -> (isOver: Bool, reason: String?)? {
    try await database.query("SELECT next_page IS NULL, reason FROM campaign WHERE id = \(campaign)")
      .first?.decode((Bool, String?).self)
  }

  /// Devices by board, as a dry run counts them: how many, and how many of them are connected. A null board is that of devices
  /// which are not there any more.
  static func boards(of campaign: UUID) -> PostgresQuery {
    """
    SELECT d.board_id, count(*), count(*) FILTER (WHERE p.online)
    FROM campaign_device m LEFT JOIN directory_device d ON d.id = m.device
    LEFT JOIN device_presence p ON p.device_id = m.device_id
    WHERE m.campaign_id = \(campaign) GROUP BY d.board_id
    """
  }

  /// Devices of these boards, and those that are not there any more: each with its board.
  static func devices(of campaign: UUID, on boards: [UUID], limit: Int) -> PostgresQuery {
    """
    SELECT m.device_id, d.board_id FROM campaign_device m LEFT JOIN directory_device d ON d.id = m.device
    WHERE m.campaign_id = \(campaign) AND (d.id IS NULL OR d.board_id = ANY(\(boards)::uuid[]))
    ORDER BY m.number LIMIT \(Int64(limit))
    """
  }

  /// A dry run has been looked at: the rest is for the runner.
  func forget(_ campaign: UUID) async throws {
    try await database.query(
      "UPDATE campaign SET finished_at = now(), run_at = now() WHERE id = \(campaign) AND is_dry")
  }
}

extension PostgresQuery.StringInterpolation {
  /// Numbers devices (their record id, deviceId and the command that is made once more) for a campaign that has none yet.
  fileprivate mutating func fill(_ campaign: UUID, _ wanted: String) {
    append(
      """
      filled AS (
        INSERT INTO campaign_device (number, device, device_id, retry_of, campaign_id)
        SELECT row_number() OVER (), w.*,\u{20}
      """, campaign, "::uuid FROM (\(wanted)) w RETURNING 1)")
    append(
      " UPDATE campaign SET total = (SELECT count(*) FROM filled) WHERE id = ", campaign, " RETURNING total")
  }

  fileprivate mutating func append(_ piece: String, _ value: some PostgresEncodable, _ end: String) {
    append(piece, value)
    appendLiteral(end)
  }
}
