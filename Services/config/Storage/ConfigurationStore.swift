import ConfigDomain
import Directory
import FoundationEssentials
import Postgres
import Wire

/// The tables of what devices should have, and of how far they are.
struct ConfigurationStore: Sendable {
  let database: PostgresClient

  /// A device's configuration with the story that made its current revision.
  struct Stored: Sendable {
    var configuration: DeviceConfiguration
    var traceparent: String?
  }

  /// Sees to it that the device has a row to lock. A deviceId that is used again keeps its revision, which a
  /// retained document may carry.
  func ensure(_ device: DeviceEntity, _ connection: PostgresConnection) async throws {
    // What the one before had, and said of it, is not the new one's.
    try await connection.query(
      """
      DELETE FROM desired_slot s USING device_configuration c
      WHERE c.device_id = \(device.deviceId) AND c.record_id <> \(device.id) AND s.device_id = c.device_id
      """)
    try await connection.query(
      """
      INSERT INTO device_configuration AS c
        (device_id, record_id, organisation_id, revision, rev, published_revision, attempts)
      VALUES (\(device.deviceId), \(device.id), \(device.organisationId), 0, 0, 0, 0)
      ON CONFLICT (device_id) DO UPDATE SET (record_id, organisation_id)
        = (EXCLUDED.record_id, EXCLUDED.organisation_id) WHERE c.record_id <> EXCLUDED.record_id
      """)
  }

  /// Locks these devices' configurations until the transaction ends, always in one order, so that nobody waits in a
  /// circle. Those that have none are left out.
  func lock(_ deviceIds: [String], _ connection: PostgresConnection) async throws -> [Stored] {
    let results = try await connection.pipeline([
      """
      SELECT \(unescaped: Self.columns) FROM device_configuration
      WHERE device_id = ANY(\(deviceIds)::text[]) ORDER BY device_id FOR UPDATE
      """, Self.slots(of: deviceIds),
    ])
    return try Self.stored(results)
  }

  /// The same for those whose device is still the one that they are for: what another, or nobody, says under its deviceId
  /// does not count. The directory's copy has every device that has a configuration, unless it is deleted.
  func lockPresent(_ deviceIds: [String], _ connection: PostgresConnection) async throws -> [Stored] {
    let results = try await connection.pipeline([
      """
      SELECT \(unescaped: Self.columns) FROM device_configuration c
      WHERE device_id = ANY(\(deviceIds)::text[])
        AND EXISTS (SELECT FROM directory_device d WHERE (d.device_id, d.id) = (c.device_id, c.record_id))
      ORDER BY device_id FOR UPDATE
      """, Self.slots(of: deviceIds),
    ])
    return try Self.stored(results)
  }

  /// The same for a device by its record id.
  func lock(recordId: UUID, _ connection: PostgresConnection) async throws -> [Stored] {
    let rows = try await connection.query(
      "SELECT device_id FROM device_configuration WHERE record_id = \(recordId)")
    return try await lock(rows.map { try $0.decode(String.self) }, connection)
  }

  /// Locks documents that are due to be sent again, leaving out those that another replica has in hand.
  func lockDue(at now: Date, limit: Int, _ connection: PostgresConnection) async throws -> [Stored] {
    let rows = try await connection.query(
      """
      SELECT device_id FROM device_configuration WHERE next_attempt_at <= \(now)
      ORDER BY next_attempt_at LIMIT \(limit) FOR UPDATE SKIP LOCKED
      """)
    return try await lock(rows.map { try $0.decode(String.self) }, connection)
  }

  /// One device's configuration as it is now.
  func find(_ device: DeviceEntity) async throws -> DeviceConfiguration? {
    let results = try await database.pipeline([
      """
      SELECT \(unescaped: Self.columns) FROM device_configuration
      WHERE device_id = \(device.deviceId) AND record_id = \(device.id)
      """, Self.slots(of: [device.deviceId]),
    ])
    return try Self.stored(results).first?.configuration
  }

  /// The bindings that reach each device, and whose artefact is for it. Reads the directory's copy of the devices.
  func candidates(
    _ deviceIds: [String], _ connection: PostgresConnection
  ) async throws -> [String: [Candidate]] {
    let rows = try await connection.query(
      """
      SELECT d.device_id, b.id, b.slot, b.target_type, b.priority, b.created_at,
             a.id, a.version, a.sha256, a.content_type
      FROM directory_device d
      JOIN device_configuration c ON (c.device_id, c.record_id) = (d.device_id, d.id)
      JOIN binding b ON b.target_type = 'DEVICE' AND b.target_id = d.id AND b.organisation_id = d.organisation_id
      JOIN artefact a ON a.id = b.artefact_id AND a.profile_type = 'DEVICE_PROFILE' AND a.profile_id = d.board_id
      WHERE d.device_id = ANY(\(deviceIds)::text[])
      """)
    return try rows.reduce(into: [:]) { candidates, row in
      let (deviceId, binding, slot, type, priority, boundAt, artefact, version, sha256, contentType) =
        try row.decode(
          (String, UUID, String, TargetType, Int, Date, UUID, Int, String, String).self)
      candidates[deviceId, default: []].append(
        Candidate(
          bindingId: binding, path: slot, targetType: type, priority: priority, boundAt: boundAt,
          artefact: ArtefactReference(
            id: artefact, version: version, sha256: sha256, contentType: contentType)))
    }
  }

  /// Writes what has changed.
  func save(
    _ changes: [(before: DeviceConfiguration, after: Stored)], _ connection: PostgresConnection
  ) async throws {
    let changes = changes.filter { $0.before != $0.after.configuration }
    guard !changes.isEmpty else { return }
    var removed: [(String, String)] = []
    var put: [(String, String, DesiredSlot)] = []
    for (before, after) in changes {
      let after = after.configuration
      removed += before.slots.keys.filter { after.slots[$0] == nil }.map { (after.deviceId, $0) }
      put += after.slots.filter { before.slots[$0.key] != $0.value }.map {
        (after.deviceId, $0.key, $0.value)
      }
    }
    var statements = [Self.update(changes.map(\.after))]
    if !removed.isEmpty { statements.append(Self.remove(removed)) }
    if !put.isEmpty { statements.append(Self.put(put)) }
    try await connection.pipeline(statements)
  }

  /// Devices that are no more should have nothing and count for nobody; the revision stays, for who gets the deviceId next.
  func clear(_ devices: [DeletedDevice], _ connection: PostgresConnection) async throws {
    let rows = try await connection.query(
      """
      SELECT device_id FROM device_configuration WHERE record_id = ANY(\(devices.map(\.id))::uuid[])
      ORDER BY device_id FOR UPDATE
      """)
    let deviceIds = try rows.decode(String.self)
    try await connection.pipeline([
      "DELETE FROM desired_slot WHERE device_id = ANY(\(deviceIds)::text[])",
      """
      UPDATE device_configuration SET next_attempt_at = NULL, published_at = NULL
      WHERE device_id = ANY(\(deviceIds)::text[])
      """,
    ])
  }

  /// The broker may have forgotten what it got since then: all of it is due again.
  func forget(since: Date, at now: Date, _ connection: PostgresConnection) async throws {
    try await connection.query(
      """
      UPDATE device_configuration SET next_attempt_at = \(now), attempts = 0
      WHERE device_id IN (
        SELECT device_id FROM device_configuration WHERE published_at >= \(since) ORDER BY device_id FOR UPDATE)
      """)
  }
}
