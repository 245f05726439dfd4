import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// What an import reads and writes: many devices in each statement.
struct ImportTable: Sendable {
  let connection: PostgresConnection

  /// The devices that have one of these deviceIds, or one of these mcuIds with its SoC; also those of others, which are in
  /// the way.
  func find(deviceIds: [String], hardware: [(mcuId: String, soc: String)]) async throws -> [Device] {
    try await connection.query(
      """
      SELECT \(unescaped: DeviceTable.columns) FROM (
        SELECT t.id FROM unnest(\(deviceIds)::text[]) AS w (device_id) JOIN device t USING (device_id)
        UNION
        SELECT t.id FROM unnest(\(hardware.map(\.mcuId))::text[], \(hardware.map(\.soc))::text[]) AS w (mcu_id, soc)
        JOIN device t USING (mcu_id, soc)
      ) found JOIN device t USING (id)
      """
    ).map(DeviceTable.read)
  }

  /// Held against other writers until the transaction ends, always in one order.
  func lock(_ ids: [UUID]) async throws -> [Device] {
    try await connection.query(
      """
      SELECT \(unescaped: DeviceTable.columns) FROM device t WHERE id = ANY(\(ids)::uuid[]) ORDER BY id FOR UPDATE
      """
    ).map(DeviceTable.read)
  }

  /// Makes devices, each with its state; those that somebody else has made meanwhile are left out.
  /// - Returns: the ids of those that were made.
  func insert(_ devices: [(device: Device, attributes: JSON)]) async throws -> Set<UUID> {
    let all = devices.map(\.device)
    return Set(
      try await connection.query(
        """
        WITH new AS (
          SELECT * FROM unnest(\(all.map(\.id))::uuid[], \(all.map(\.createdAt))::timestamptz[],
            \(all.map(\.mcuId))::text[], \(all.map(\.boardId))::uuid[], \(all.map(\.soc))::text[],
            \(all.map(\.organisationId))::uuid[], \(all.map(\.deviceId))::text[],
            \(all.map { PostgresJSON(bytes: $0.metadata.json.bytes) })::jsonb[], \(all.map(\.networkId))::uuid[],
            \(all.map(\.name))::text[], \(devices.map { PostgresJSON(bytes: $0.attributes.bytes) })::jsonb[])
            AS n (id, created_at, mcu_id, board_id, soc, organisation_id, device_id, metadata, network_id, name, attributes)
        ), made AS (
          INSERT INTO device (id, created_at, updated_at, mcu_id, board_id, soc, organisation_id, device_id, metadata,
            network_id, name, rev)
          SELECT id, created_at, created_at, mcu_id, board_id, soc, organisation_id, device_id, metadata, network_id,
            name, 1 FROM new
          ON CONFLICT DO NOTHING RETURNING id
        ), states AS (
          INSERT INTO device_state (device_id, id, organisation_id, created_at, updated_at, attributes)
          SELECT device_id, id, organisation_id, created_at, created_at, attributes FROM new JOIN made USING (id)
        )
        SELECT id FROM made
        """
      ).decode(UUID.self))
  }
}
