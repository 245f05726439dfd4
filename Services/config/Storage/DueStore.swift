import ConfigDomain
import FoundationEssentials
import Postgres

/// The tables of what is to be resolved. Level, not edge: a row says that something may be otherwise now, never what.
///
/// A change of a binding makes its target due, and the target's devices become due in a transaction that begins after that
/// change's commit. So of a device that joins a target and a binding of it that are written at the same time, neither seeing the
/// other, the later to commit finds the device due: the device by its own row, or as one of the target's.
enum DueStore {
  struct Device: Sendable {
    let id: Int64
    let recordId: UUID
    let traceparent: String?
  }

  /// Devices of which the directory's copy has changed.
  static func add(_ recordIds: [UUID]) -> PostgresQuery {
    "INSERT INTO device_due (record_id) SELECT unnest(\(recordIds)::uuid[])"
  }

  /// The targets of bindings that have changed or gone.
  static func add(_ bindings: [Binding], traceparent: String?) -> PostgresQuery {
    """
    INSERT INTO target_due (binding_id, organisation_id, target_type, target_id, traceparent)
    SELECT *, \(traceparent)::text FROM unnest(
      \(bindings.map(\.id))::uuid[], \(bindings.map(\.organisationId))::uuid[],
      \(bindings.map(\.target.type.rawValue))::text[], \(bindings.map(\.target.id))::uuid[])
    """
  }

  /// Makes the devices due that the oldest target due reaches, and those that have something of its binding.
  /// - Returns: whether there was a target.
  static func spread(_ connection: PostgresConnection) async throws -> Bool {
    let row = try await connection.query(
      """
      DELETE FROM target_due WHERE id = (SELECT id FROM target_due ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING binding_id, organisation_id, target_type, target_id, traceparent
      """
    ).first
    guard let row else { return false }
    let (binding, organisation, type, id, traceparent) = try row.decode(
      (UUID, UUID, TargetType, UUID, String?).self)
    try await connection.query(
      """
      INSERT INTO device_due (record_id, traceparent)
      SELECT id, \(traceparent)::text FROM (
        SELECT id FROM directory_device
        WHERE organisation_id = \(organisation) AND \(unescaped: TargetReach.condition(type, id))
        UNION
        SELECT c.record_id FROM desired_slot s JOIN device_configuration c ON c.device_id = s.device_id
        WHERE s.binding_id = \(binding)
      ) r ORDER BY id
      """)
    return true
  }

  /// A page of what is due, locked; other replicas take others.
  static func take(limit: Int, _ connection: PostgresConnection) async throws -> [Device] {
    try await connection.query(
      """
      SELECT id, record_id, traceparent FROM device_due ORDER BY id LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED
      """
    ).decode((Int64, UUID, String?).self).map { Device(id: $0.0, recordId: $0.1, traceparent: $0.2) }
  }

  /// Puts the oldest behind all others.
  static let postpone: PostgresQuery = """
    WITH oldest AS (
      DELETE FROM device_due WHERE id = (SELECT id FROM device_due ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING record_id, traceparent
    )
    INSERT INTO device_due (record_id, traceparent) SELECT record_id, traceparent FROM oldest
    """

  static func done(_ devices: some Collection<Device>) -> PostgresQuery {
    "DELETE FROM device_due WHERE id = ANY(\(devices.map(\.id))::bigint[])"
  }
}

/// Which devices of the directory's copy a target reaches.
enum TargetReach {
  /// A condition on `directory_device`. Ids are written out, so that the plan goes by the one index that fits.
  static func condition(_ type: TargetType, _ id: UUID) -> String {
    switch type {
    case .device: "id = '\(id.text)'::uuid"
    case .deviceProfile: "board_id = '\(id.text)'::uuid"
    case .deviceGroup: "group_ids @> ARRAY['\(id.text)'::uuid]"
    case .component: #"components @> '[{"id":"\#(id.text)"}]'::jsonb"#
    case .sensorProfile: #"components @> '[{"sensorProfileId":"\#(id.text)"}]'::jsonb"#
    }
  }
}
