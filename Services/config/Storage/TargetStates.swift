import ConfigDomain
import FoundationEssentials
import Postgres
import Wire

/// How far the single devices and components of a binding are.
enum TargetStates {
  struct Filter: Sendable {
    var status: SlotState.Status?
    /// The last of the page before.
    var after: (deviceId: String, path: String)?
    var limit: Int
  }

  struct Item: Sendable {
    let deviceId: String
    let path: String
    let slot: DesiredSlot
    let state: SlotState
  }

  static func list(_ binding: UUID, _ filter: Filter, _ database: PostgresClient) async throws -> [Item] {
    let rows = try await database.query(
      """
      SELECT s.device_id, s.path, s.since, s.since_at, s.known_version, s.converged_at,
        s.reported_version, s.reported_sha256, s.reported_status, s.reported_message, s.reported_at,
        a.id, a.version, a.sha256, a.content_type, c.published_revision >= s.since AS is_delivered,
        COALESCE(p.online, false) AS is_online
      FROM desired_slot s JOIN artefact a ON a.id = s.artefact_id
      JOIN device_configuration c ON c.device_id = s.device_id
      LEFT JOIN device_presence p ON p.device_id = s.device_id
      WHERE s.binding_id = \(binding) AND (\(filter.status)::text IS NULL OR s.status = \(filter.status))
        AND (\(filter.after?.deviceId)::text IS NULL
          OR (s.device_id, s.path) > (\(filter.after?.deviceId), \(filter.after?.path)))
      ORDER BY s.device_id, s.path LIMIT \(filter.limit)
      """)
    return try rows.map { row in
      var report: Report?
      if let version: Int = try row["reported_version"].decode(),
        let sha256: String = try row["reported_sha256"].decode(),
        let status: ReportedSlot.Status = try row["reported_status"].decode(),
        let at: Date = try row["reported_at"].decode()
      {
        report = Report(
          slot: ReportedSlot(
            version: version, sha256: sha256, status: status, message: try row["reported_message"].decode()),
          at: at)
      }
      let slot = DesiredSlot(
        bindingId: binding,
        artefact: ArtefactReference(
          id: try row["id"].decode(), version: try row["version"].decode(),
          sha256: try row["sha256"].decode(),
          contentType: try row["content_type"].decode()),
        since: try row["since"].decode(), sinceAt: try row["since_at"].decode(),
        knownVersion: try row["known_version"].decode(), report: report,
        convergedAt: try row["converged_at"].decode())
      let state = SlotState(
        isDelivered: try row["is_delivered"].decode(), isOnline: try row["is_online"].decode(),
        report: slot.observation)
      return Item(
        deviceId: try row["device_id"].decode(), path: try row["path"].decode(), slot: slot, state: state)
    }
  }
}
