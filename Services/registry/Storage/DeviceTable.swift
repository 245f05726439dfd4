import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// Devices in the database.
struct DeviceTable: Sendable {
  let database: any Querying

  static let columns = """
    t.id, t.created_at, t.updated_at, t.mcu_id, t.board_id, t.soc, t.organisation_id, t.device_id, t.metadata,
    t.network_id, t.name, t.rev
    """

  static func read(_ row: PostgresRow) throws -> Device {
    Device(
      id: try row["id"].decode(UUID.self), createdAt: try row["created_at"].decode(Date.self),
      updatedAt: try row["updated_at"].decode(Date.self), mcuId: try row["mcu_id"].decode(String.self),
      boardId: try row["board_id"].decode(UUID.self), soc: try row["soc"].decode(String.self),
      organisationId: try row["organisation_id"].decode(UUID.self),
      deviceId: try row["device_id"].decode(String.self),
      metadata: Metadata(
        (try row["metadata"].optionalObject() ?? JSONObject()).members.map {
          (name: $0.name, value: $0.value.string ?? "")
        }), networkId: try row["network_id"].decode(UUID?.self),
      name: try row["name"].decode(String?.self), rev: try row["rev"].decode(Int64.self))
  }

  /// A device and its state.
  func insert(_ device: Device, attributes: JSON) async throws {
    try await database.query(
      """
      WITH device AS (
        INSERT INTO device (id, created_at, updated_at, mcu_id, board_id, soc, organisation_id, device_id, metadata,
          network_id, name, rev)
        VALUES (\(device.id), \(device.createdAt), \(device.updatedAt), \(device.mcuId), \(device.boardId),
          \(device.soc), \(device.organisationId), \(device.deviceId), \(PostgresJSON(device.metadata)),
          \(device.networkId), \(device.name), \(device.rev))
        RETURNING device_id, id, organisation_id, created_at
      )
      INSERT INTO device_state (device_id, id, organisation_id, created_at, updated_at, attributes)
      SELECT device_id, id, organisation_id, created_at, created_at, \(PostgresJSON(bytes: attributes.bytes)) FROM device
      """)
  }

  /// Also its state and its metadata, by a trigger.
  func delete(_ id: UUID) async throws { try await database.query("DELETE FROM device WHERE id = \(id)") }

  /// By record id, `deviceId` or `mcuId`, the first of these that fits: one, or several with that `mcuId`.
  ///
  /// Whose they are is asked here and not by the database: it might walk through all of an organisation's devices to
  /// find one `mcuId`.
  func find(_ reference: String, in organisation: UUID?) async throws -> [Device] {
    let devices = try await database.query(
      """
      SELECT 1 AS rank, \(unescaped: Self.columns) FROM device t WHERE id = \(UUID(recordId: reference))
      UNION ALL SELECT 2, \(unescaped: Self.columns) FROM device t WHERE device_id = \(reference)
      UNION ALL SELECT 3, \(unescaped: Self.columns) FROM device t WHERE mcu_id = \(reference)
      """
    ).map { (rank: try $0["rank"].decode(Int32.self), device: try Self.read($0)) }
      .filter { organisation == nil || organisation == $0.device.organisationId }
    let best = devices.map(\.rank).min()
    return devices.filter { $0.rank == best }.map(\.device)
  }

  func find(soc: String, mcuId: String, in organisation: UUID?) async throws -> Device? {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM device t WHERE mcu_id = \(mcuId) AND soc = \(soc)
        AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
      """
    ).first.map(Self.read)
  }

  /// Held against other writers until the transaction ends.
  func lock(_ id: UUID) async throws -> Device? {
    try await database.query("SELECT \(unescaped: Self.columns) FROM device t WHERE id = \(id) FOR UPDATE")
      .first.map(Self.read)
  }
}

extension PostgresJSON {
  fileprivate init(_ metadata: Metadata) { self.init(bytes: metadata.json.bytes) }
}
