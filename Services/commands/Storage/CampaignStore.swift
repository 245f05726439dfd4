import CommandsDomain
import FoundationEssentials
import Postgres
import Wire

/// The table `campaign` and its counts.
struct CampaignStore: Sendable {
  let database: PostgresClient

  private static let columns = """
    id, seq, organisation_id, status, target, request, rate_per_minute, unknown, retry_of, reason, traceparent, created_at,
    created_by, finished_at, total, rev
    """

  /// So many names stand in a list of campaigns; longer ones are in the campaign itself.
  private static let mostNames = 100

  /// As a list has it: a thousand of them are no more than small, however many names each was given.
  private static let shortColumns = """
    id, seq, organisation_id, status,
    CASE WHEN jsonb_array_length(COALESCE(target->'deviceIds', '[]')) <= \(mostNames) THEN target ELSE 'null' END AS target,
    convert_to(json_build_object('type', convert_from(request, 'UTF8')::json->'type')::text, 'UTF8') AS request,
    rate_per_minute, CASE WHEN jsonb_array_length(unknown) <= \(mostNames) THEN unknown ELSE 'null' END AS unknown,
    retry_of, reason, traceparent, created_at, created_by, finished_at, total, rev
    """

  /// A campaign with its counts, and its place in the order of creation.
  struct Counted: Sendable {
    let seq: Int64
    let campaign: Campaign
    /// False where they were left out for their number.
    let hasUnknown: Bool
    var counts: CampaignCounts
  }

  private static func campaign(_ row: PostgresRow) throws -> Campaign {
    let status = try row["status"].decode(String.self)
    return Campaign(
      id: try row["id"].decode(), organisationId: try row["organisation_id"].decode(),
      status: Campaign.Status(rawValue: status) ?? .running,
      target: try JSON(stored: row["target"].decode()),
      request: try JSON(parsing: row["request"].decode([UInt8].self), maximumDepth: 1000),
      ratePerMinute: try row["rate_per_minute"].decode(Int32?.self).map { Int($0) },
      unknown: try JSON(stored: row["unknown"].decode()).array?.compactMap(\.string) ?? [],
      retryOf: try row["retry_of"].decode(), reason: try row["reason"].decode(),
      traceparent: try row["traceparent"].decode(), createdAt: try row["created_at"].decode(),
      createdBy: try row["created_by"].decode(), finishedAt: try row["finished_at"].decode(),
      total: try row["total"].decode(), rev: try row["rev"].decode())
  }

  /// - Parameters:
  ///   - isDry: it is only looked at, and nothing is made.
  ///   - isSelected: false if the registry has yet to say which devices it has.
  static func insert(_ campaign: Campaign, isDry: Bool, isSelected: Bool) -> PostgresQuery {
    """
    INSERT INTO campaign (id, organisation_id, status, is_dry, target, request, rate_per_minute, unknown, retry_of,
      traceparent, created_at, created_by, next_page, run_at)
    SELECT \(campaign.id), \(campaign.organisationId), \(campaign.status.rawValue), \(isDry),
      \(PostgresJSON(bytes: campaign.target.bytes)), \(campaign.request.bytes),
      \(campaign.ratePerMinute.map { Int32($0) })::int,
      \(PostgresJSON(bytes: JSON.array(campaign.unknown.map { .string($0) }).bytes)), \(campaign.retryOf)::uuid,
      \(campaign.traceparent)::text, \(campaign.createdAt), \(campaign.createdBy),
      CASE WHEN \(isSelected) THEN NULL ELSE 0 END, now() + CASE WHEN \(isDry) THEN interval '10 min' ELSE interval '0' END
    """
  }

  /// One campaign of an organisation (of any, for nil).
  func find(_ id: UUID, in organisation: UUID?) async throws -> Counted? {
    try Self.counted(try await database.query(Self.counts([id], in: organisation))).first
  }

  /// Whether an organisation (any, for nil) has it.
  func has(_ id: UUID, in organisation: UUID?) async throws -> Bool {
    try await !database.query(
      """
      SELECT FROM campaign WHERE id = \(id) AND NOT is_dry
        AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
      """
    ).isEmpty
  }

  /// As the transaction of this connection has left it.
  static func find(_ id: UUID, on connection: PostgresConnection) async throws -> Counted? {
    try counted(try await connection.query(counts([id], in: nil))).first
  }

  /// Campaigns of an organisation (of all, for nil), newest first.
  /// - Parameter before: the `seq` of the last one of the page before.
  func list(in organisation: UUID?, before: Int64?, limit: Int) async throws -> [Counted] {
    var sql = PostgresQuery.StringInterpolation(literalCapacity: 200, interpolationCount: 3)
    sql.appendLiteral("SELECT id FROM campaign WHERE NOT is_dry")
    if let organisation { sql.append(" AND organisation_id = ", organisation) }
    if let before { sql.append(" AND seq < ", before) }
    sql.append(" ORDER BY seq DESC LIMIT ", Int64(limit))
    let ids = try await database.query(PostgresQuery(stringInterpolation: sql)).decode(UUID.self)
    return try Self.counted(
      try await database.query(Self.counts(ids, in: organisation, columns: Self.shortColumns)))
  }

  /// Campaigns with what has become of their devices, newest first, a row for each and each word. One statement is one
  /// snapshot: the numbers belong together while commands are made, move and go.
  private static func counts(
    _ ids: [UUID], in organisation: UUID?, columns: String = Self.columns
  ) -> PostgresQuery {
    """
    SELECT \(unescaped: columns), made, counts, n.outcome, n.number
    FROM unnest(\(ids)::uuid[]) AS i (campaign) JOIN campaign c ON c.id = i.campaign AND NOT c.is_dry
      AND (\(organisation)::uuid IS NULL OR c.organisation_id = \(organisation))
    LEFT JOIN LATERAL (
      SELECT \(unescaped: outcome) AS outcome, count(*) AS number FROM command m
      WHERE m.bulk_id = c.id AND c.counts IS NULL GROUP BY 1
      UNION ALL
      SELECT g.outcome, sum(g.number)::bigint FROM campaign_gone g WHERE g.campaign_id = c.id AND c.counts IS NULL GROUP BY 1
    ) n ON true
    ORDER BY seq DESC
    """
  }

  /// The word under which a command `m` counts.
  static let outcome = """
    CASE WHEN m.status = 'FAILED' AND m.reason = 'cancelled' THEN 'CANCELLED' ELSE m.status END
    """

  private static func counted(_ rows: PostgresRows) throws -> [Counted] {
    var all: [Counted] = []
    for row in rows {
      let id: UUID = try row["id"].decode()
      if all.last?.campaign.id != id {
        var counts = CampaignCounts()
        if let kept = try row["counts"].decode(PostgresJSON?.self) {
          counts = CampaignCounts(json: try JSON(stored: kept))
        } else {
          counts.waiting = try row["total"].decode(Int64.self) - row["made"].decode(Int64.self)
        }
        all.append(
          Counted(
            seq: try row["seq"].decode(), campaign: try campaign(row),
            hasUnknown: try JSON(stored: row["unknown"].decode()) != .null, counts: counts))
      }
      if let word = try row["outcome"].decode(String?.self) {
        all[all.count - 1].counts.add(try row["number"].decode(Int64.self), word)
      }
    }
    return all
  }
}
