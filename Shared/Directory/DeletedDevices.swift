import FoundationEssentials
import Postgres

/// A device that is no more.
public struct DeletedDevice: Sendable {
  /// Its record id.
  public let id: UUID
  /// Nil where neither its record nor its end was ever read whole: then nothing here can be its.
  public let deviceId: String?
}

/// What a service has to clean up: devices whose end its copy of the registry has read.
///
/// Level, not edge: the table says what is to be done, and each is looked at twice, at once and half a minute later, for
/// what a transaction that had begun before has left.
public enum DeletedDevices {
  /// Those whose turn it is, locked; other replicas take others.
  public static func due(limit: Int, on connection: PostgresConnection) async throws -> [DeletedDevice] {
    try await connection.query(
      """
      SELECT id, device_id FROM directory_deletion WHERE look_at <= now()
      ORDER BY look_at LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED
      """
    ).decode((UUID, String?).self).map { DeletedDevice(id: $0.0, deviceId: $0.1) }
  }

  /// They are cleaned up, in this transaction: what `due` gave is looked at once more later, or never again.
  public static func settle(_ devices: [DeletedDevice], on connection: PostgresConnection) async throws {
    guard !devices.isEmpty else { return }
    try await connection.enqueue([
      """
      UPDATE directory_deletion SET look_at = CASE WHEN look_at = at THEN at + interval '30 s' END
      WHERE kind = 'device' AND id = ANY(\(devices.map(\.id))::uuid[])
      """
    ])
  }
}
