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

  /// Sees to it that these devices have a row each, and locks them, always in one order. Devices that the directory's copy does
  /// not have are left out, and so are all of organisations that bind nothing: nothing can reach them.
  ///
  /// A deviceId that is used again keeps its revision, which a retained document may carry; what the one before had, and
  /// said of it, is not the new one's. Ids of records grow, so the younger record is the one that has the deviceId.
  /// - Parameter isFirst: whether a binding is about to be made, which may be the organisation's first.
  func ensure(_ recordIds: [UUID], isFirst: Bool = false, _ connection: PostgresConnection) async throws {
    let taken = try await connection.query(
      """
        INSERT INTO device_configuration AS c
          (device_id, record_id, organisation_id, revision, rev, published_revision, attempts)
        SELECT device_id, id, organisation_id, 0, 0, 0, 0 FROM directory_device d
        WHERE id = ANY(\(recordIds)::uuid[])
          AND NOT EXISTS (SELECT FROM directory_device o WHERE o.device_id = d.device_id AND o.id > d.id)
          AND COALESCE(NULLIF(\(isFirst), false),
            (SELECT true FROM binding b WHERE b.organisation_id = d.organisation_id LIMIT 1),
            (SELECT true FROM device_configuration p WHERE p.device_id = d.device_id LIMIT 1), false)
        ORDER BY device_id
        ON CONFLICT (device_id) DO UPDATE
          SET (record_id, organisation_id, resolved_rev, published_revision, published_at, confirmed_at, next_attempt_at)
            = (EXCLUDED.record_id, EXCLUDED.organisation_id, 0, 0, NULL, NULL, NULL)
          WHERE c.record_id < EXCLUDED.record_id
        RETURNING device_id
      """
    ).decode(String.self)
    // A statement of its own, which sees what was written while the first waited for the row.
    if !taken.isEmpty {
      try await connection.enqueue(["DELETE FROM desired_slot WHERE device_id = ANY(\(taken)::text[])"])
    }
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

  /// The same by record ids, with the devices as the directory's copy has them once their configurations are locked: who
  /// decides by them decides by the newest. A device that is not in the copy is left out: it keeps what it has.
  func lock(
    recordIds: [UUID], _ connection: PostgresConnection
  ) async throws -> [(stored: Stored, device: DeviceEntity)] {
    let locked = try await connection.query(
      """
      SELECT \(unescaped: Self.columns) FROM device_configuration
      WHERE record_id = ANY(\(recordIds)::uuid[]) ORDER BY device_id FOR UPDATE
      """)
    let deviceIds = try locked.map { try $0["device_id"].decode(String.self) }
    let results = try await connection.pipeline([
      Self.slots(of: deviceIds), DirectoryDevices.query(recordIds),
    ])
    let devices = Dictionary(
      try DirectoryDevices.read(results[1]).map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    return try Self.stored([locked, results[0]]).compactMap { stored in
      devices[stored.configuration.recordId].map { (stored, $0) }
    }
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

  /// One device's configuration as it is now, and whether the device is connected, as far as this service has heard.
  func find(_ device: DeviceEntity) async throws -> (DeviceConfiguration, isOnline: Bool)? {
    let results = try await database.pipeline([
      """
      SELECT \(unescaped: Self.columns) FROM device_configuration
      WHERE device_id = \(device.deviceId) AND record_id = \(device.id)
      """, Self.slots(of: [device.deviceId]),
      "SELECT online FROM device_presence WHERE device_id = \(device.deviceId)",
    ])
    let isOnline = try results[2].first?.decode(Bool.self) ?? false
    return try Self.stored(results).first.map { ($0.configuration, isOnline) }
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
  /// - Returns: what the broker may keep of them: by deviceId and topic.
  func clear(
    _ devices: [DeletedDevice], at now: Date, _ connection: PostgresConnection
  ) async throws -> [(deviceId: String, topic: DeviceTopic)] {
    let ids = devices.map(\.id)
    // A document of who has the deviceId now stays: it has taken the place of theirs.
    let documents = try await connection.query(
      """
      SELECT device_id FROM device_configuration c
      WHERE device_id = ANY(\(devices.compactMap(\.deviceId))::text[]) AND (record_id = ANY(\(ids)::uuid[])
        OR NOT EXISTS (SELECT FROM desired_slot s WHERE s.device_id = c.device_id))
      ORDER BY device_id FOR UPDATE
      """
    ).decode(String.self)
    let answers = try await connection.pipeline([
      """
      DELETE FROM desired_slot WHERE device_id IN (
        SELECT device_id FROM device_configuration WHERE record_id = ANY(\(ids)::uuid[]))
      """,
      """
      UPDATE device_configuration SET next_attempt_at = NULL, published_at = NULL, confirmed_at = NULL, published_revision = 0
      WHERE record_id = ANY(\(ids)::uuid[])
      """,
      """
      -- Not the word of who has the deviceId now, unless that one is too young to have said any: an id tells its time (UUIDv7).
      SELECT d.id FROM unnest(\(devices.compactMap(\.deviceId))::text[]) AS d (id)
      WHERE NOT EXISTS (
        SELECT FROM directory_device o WHERE o.device_id = d.id
          AND to_timestamp(('x' || left(translate(o.id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) < \(now - 5))
      """,
    ])
    return documents.map { ($0, .desired) } + (try answers[2].decode(String.self).map { ($0, .presence) })
  }

  /// Of these devices those whose document the broker confirmed before then, if at all, and of which nobody asked since.
  static func stale(_ deviceIds: [String], confirmedBefore time: Date) -> PostgresQuery {
    """
    SELECT device_id FROM device_configuration
    WHERE device_id = ANY(\(deviceIds)::text[]) AND revision > 0 AND next_attempt_at IS NULL
      AND (confirmed_at IS NULL OR confirmed_at < \(time))
    """
  }

  /// A broker that is new, or has lost what it had: what it confirmed before may be gone.
  static func brokerCame(at time: Date, heardAt now: Date) -> PostgresQuery {
    "INSERT INTO broker_start (at, heard_at) VALUES (\(time), \(now)) ON CONFLICT DO NOTHING"
  }

  /// Makes documents due again that the broker confirmed within an hour before it last came, a page of them.
  ///
  /// For a minute after that: what was confirmed just before may be read later than that it came.
  /// - Returns: how many.
  func forget(at now: Date, limit: Int, _ connection: PostgresConnection) async throws -> Int {
    let starts = try await connection.query("SELECT max(at), max(heard_at) FROM broker_start")
    let (start, heard) = try starts[0].decode((Date?, Date?).self)
    guard let start, let heard else { return 0 }
    let due = try await connection.query(
      """
      UPDATE device_configuration SET attempts = 0, next_attempt_at = \(now + Delivery.patience(attempts: 0))
      WHERE device_id IN (
        SELECT device_id FROM device_configuration
        WHERE confirmed_at BETWEEN \(start - Delivery.trust) AND \(start) AND next_attempt_at IS NULL
        ORDER BY device_id LIMIT \(limit) FOR UPDATE)
      RETURNING device_id
      """
    ).count
    if due == 0, heard < now - 60 {
      try await connection.enqueue(["DELETE FROM broker_start WHERE at <= \(start)"])
    }
    return due
  }
}
