import ConfigDomain
import FoundationEssentials
import Postgres
import Wire

/// The statements of many devices at once; a single device is an array of one.
extension ConfigurationStore {
  static let columns =
    """
    device_id, record_id, organisation_id, revision, rev, resolved_rev, published_revision, published_at, confirmed_at, \
    attempts, next_attempt_at, traceparent
    """

  static func slots(of deviceIds: [String]) -> PostgresQuery {
    """
    SELECT s.device_id, s.path, s.binding_id, s.since, a.id, a.version, a.sha256, a.content_type,
           s.reported_version, s.reported_sha256, s.reported_status, s.reported_message, s.reported_at,
           s.since_at, s.known_version, s.converged_at
    FROM desired_slot s JOIN artefact a ON a.id = s.artefact_id
    WHERE s.device_id = ANY(\(deviceIds)::text[])
    """
  }

  /// Reads the answers to the two statements: the devices, and their slots.
  static func stored(_ results: [PostgresRows]) throws -> [Stored] {
    var slots: [String: [String: DesiredSlot]] = [:]
    for row in results[1] {
      let (
        deviceId, path, binding, since, artefact, version, sha256, contentType,
        reportedVersion, reportedHash, status, message, at, sinceAt, knownVersion, convergedAt
      ) = try row.decode(
        (
          String, String, UUID, Int64, UUID, Int, String, String,
          Int?, String?, ReportedSlot.Status?, String?, Date?, Date, Int?, Date?
        ).self)
      var report: Report?
      if let reportedVersion, let reportedHash, let status, let at {
        report = Report(
          slot: ReportedSlot(
            version: reportedVersion, sha256: reportedHash, status: status, message: message), at: at)
      }
      slots[deviceId, default: [:]][path] = DesiredSlot(
        bindingId: binding,
        artefact: ArtefactReference(id: artefact, version: version, sha256: sha256, contentType: contentType),
        since: since, sinceAt: sinceAt, knownVersion: knownVersion, report: report, convergedAt: convergedAt)
    }
    return try results[0].map { row in
      let (
        deviceId, recordId, organisation, revision, rev, resolved, published, publishedAt, confirmedAt,
        attempts, nextAttemptAt, traceparent
      ) = try row.decode(
        (String, UUID, UUID, Int64, Int64, Int64, Int64, Date?, Date?, Int, Date?, String?).self)
      var delivery = Delivery()
      (delivery.publishedRevision, delivery.publishedAt) = (published, publishedAt)
      delivery.confirmedAt = confirmedAt
      (delivery.attempts, delivery.nextAttemptAt) = (attempts, nextAttemptAt)
      return Stored(
        configuration: DeviceConfiguration(
          deviceId: deviceId, recordId: recordId, organisationId: organisation, revision: revision, rev: rev,
          resolvedRev: resolved, delivery: delivery, slots: slots[deviceId] ?? [:]),
        traceparent: traceparent)
    }
  }

  static func update(_ devices: [Stored]) -> PostgresQuery {
    let configurations = devices.map(\.configuration)
    return """
      UPDATE device_configuration c
      SET (revision, rev, resolved_rev, published_revision, published_at, confirmed_at, attempts, next_attempt_at, traceparent)
        = (n.revision, n.rev, n.resolved_rev, n.published_revision, n.published_at, n.confirmed_at, n.attempts,
           n.next_attempt_at, n.traceparent)
      FROM unnest(
        \(configurations.map(\.deviceId))::text[], \(configurations.map(\.revision))::bigint[],
        \(configurations.map(\.rev))::bigint[], \(configurations.map(\.resolvedRev))::bigint[],
        \(configurations.map(\.delivery.publishedRevision))::bigint[],
        \(configurations.map(\.delivery.publishedAt))::timestamptz[],
        \(configurations.map(\.delivery.confirmedAt))::timestamptz[],
        \(configurations.map(\.delivery.attempts))::bigint[],
        \(configurations.map(\.delivery.nextAttemptAt))::timestamptz[], \(devices.map(\.traceparent))::text[]
      ) AS n (device_id, revision, rev, resolved_rev, published_revision, published_at, confirmed_at, attempts, next_attempt_at,
        traceparent)
      WHERE c.device_id = n.device_id
      """
  }

  static func remove(_ slots: [(deviceId: String, path: String)]) -> PostgresQuery {
    """
    DELETE FROM desired_slot WHERE (device_id, path) IN (
      SELECT * FROM unnest(\(slots.map(\.deviceId))::text[], \(slots.map(\.path))::text[]))
    """
  }

  static func put(_ slots: [(deviceId: String, path: String, slot: DesiredSlot)]) -> PostgresQuery {
    let reports = slots.map(\.slot.report)
    return """
      INSERT INTO desired_slot (
        device_id, path, binding_id, artefact_id, since, since_at, known_version, converged_at, status,
        reported_version, reported_sha256, reported_status, reported_message, reported_at)
      SELECT * FROM unnest(
        \(slots.map(\.deviceId))::text[], \(slots.map(\.path))::text[], \(slots.map(\.slot.bindingId))::uuid[],
        \(slots.map(\.slot.artefact.id))::uuid[], \(slots.map(\.slot.since))::bigint[],
        \(slots.map(\.slot.sinceAt))::timestamptz[], \(slots.map(\.slot.knownVersion))::bigint[],
        \(slots.map(\.slot.convergedAt))::timestamptz[], \(slots.map(\.slot.status.rawValue))::text[],
        \(reports.map { $0?.slot.version })::bigint[], \(reports.map { $0?.slot.sha256 })::text[],
        \(reports.map { $0?.slot.status.rawValue })::text[], \(reports.map { $0?.slot.message })::text[],
        \(reports.map { $0?.at })::timestamptz[])
      ON CONFLICT (device_id, path) DO UPDATE SET
        (binding_id, artefact_id, since, since_at, known_version, converged_at, status,
         reported_version, reported_sha256, reported_status, reported_message, reported_at)
        = (EXCLUDED.binding_id, EXCLUDED.artefact_id, EXCLUDED.since, EXCLUDED.since_at, EXCLUDED.known_version,
           EXCLUDED.converged_at, EXCLUDED.status, EXCLUDED.reported_version, EXCLUDED.reported_sha256,
           EXCLUDED.reported_status, EXCLUDED.reported_message, EXCLUDED.reported_at)
      """
  }
}
