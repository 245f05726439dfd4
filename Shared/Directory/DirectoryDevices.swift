import FoundationEssentials
import Postgres
import Wire

/// The copy's devices whole, with their groups and components, for whoever decides by them what applies to a device.
public enum DirectoryDevices {
  /// The statement, in the order of ids; its answer is read by `read`.
  public static func query(_ ids: [UUID]) -> PostgresQuery {
    """
    SELECT id, device_id, mcu_id, soc, board_id, organisation_id, network_id, group_ids,
      CASE WHEN components <> '[]' THEN components END, rev
    FROM directory_device WHERE id = ANY(\(ids)::uuid[]) ORDER BY id
    """
  }

  public static func read(_ rows: PostgresRows) throws -> [DeviceEntity] {
    try rows.map { row in
      let (id, deviceId, mcuId, soc, board, organisation, network, groups, components, rev) = try row.decode(
        (UUID, String, String, String, UUID, UUID, UUID?, [UUID], PostgresJSON?, Int64).self)
      return DeviceEntity(
        id: id, deviceId: deviceId, mcuId: mcuId, soc: soc, boardId: board, organisationId: organisation,
        networkId: network, groupIds: groups,
        components: try components.map { try JSON(parsing: $0.bytes) }?.array?.compactMap {
          ComponentEntity(json: $0)
        } ?? [], rev: rev)
    }
  }

  /// The device that has this component, as far as the copy is.
  /// - Parameter organisation: where to look; nil for everywhere.
  public static func having(
    component id: UUID, in organisation: UUID?, _ connection: PostgresConnection
  ) async throws -> DeviceEntity? {
    let component = PostgresJSON(bytes: ([["id": .string(id.text)]] as JSON).bytes)
    let rows = try await connection.query(
      """
      SELECT id FROM directory_device WHERE components @> \(component)
        AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation)) ORDER BY id DESC LIMIT 1
      """)
    guard let device = try rows.first?.decode(UUID.self) else { return nil }
    return try read(try await connection.query(query([device]))).first
  }
}

extension DeviceDirectory {
  /// The device that has this component.
  /// - Parameter organisation: where to look; nil for everywhere.
  public func device(ofComponent id: UUID, in organisation: UUID?) async throws -> DeviceEntity? {
    try await settled {
      try await database.withConnection {
        try await DirectoryDevices.having(component: id, in: organisation, $0)
      }
    }
  }

  /// The organisation of a group or sensor profile; nil if there is none.
  public func ownerOfGroup(_ id: UUID) async throws -> UUID? {
    try await settled {
      try await database.query("SELECT organisation_id FROM directory_group WHERE id = \(id)")
        .first?.decode(UUID.self)
    }
  }

  /// The same for a sensor profile.
  public func ownerOfSensorProfile(_ id: UUID) async throws -> UUID? {
    try await settled {
      try await database.query("SELECT organisation_id FROM directory_sensor_profile WHERE id = \(id)")
        .first?.decode(UUID.self)
    }
  }

  /// What is not found is looked for once more when the copy has reached the topic's end.
  private func settled<T: Sendable>(_ look: () async throws -> T?) async throws -> T? {
    if let found = try await look() { return found }
    try await settled()
    return try await look()
  }
}
