import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// What the other services know of devices, read from the tables.
struct DeviceRecordTable: Sendable {
  let database: any Querying

  /// The records of these devices as they are now.
  ///
  /// Whoever asks holds them in that way too, or they would not be the newest of their revision.
  func records(of ids: [UUID]) async throws -> [DeviceRecord] {
    try await database.query(
      """
      SELECT \(unescaped: DeviceTable.columns), COALESCE(r.ahead, 0) AS ahead,
        ARRAY(SELECT group_id FROM group_member WHERE device = t.id ORDER BY group_id) AS group_ids,
        (SELECT jsonb_agg(jsonb_build_object('id', c.id, 'key', c.key, 'sensorProfileId', c.sensor_profile_id)
            ORDER BY c.id) FROM component c WHERE c.device = t.id) AS components
      FROM unnest(\(ids)::uuid[]) WITH ORDINALITY AS wanted (id, place)
      JOIN device t USING (id) LEFT JOIN device_record r ON r.device = t.id
      ORDER BY wanted.place
      """
    ).map { row in
      let components = try row["components"].isNull ? nil : row["components"].json().array
      return DeviceRecord(
        device: try DeviceTable.read(row), ahead: try row["ahead"].decode(Int64.self),
        groupIds: try row["group_ids"].decode([UUID].self),
        components: (components ?? []).compactMap(ComponentEntity.init(json:)))
    }
  }

  /// One more revision for the records of these devices, none of which has changed itself. Their rows are held, or the
  /// lock of their organisation's groups is held alone.
  func advance(_ ids: [UUID]) async throws {
    try await database.query(
      """
      INSERT INTO device_record AS r (device, ahead) SELECT id, 1 FROM unnest(\(ids)::uuid[]) AS i (id)
      ON CONFLICT (device) DO UPDATE SET ahead = r.ahead + 1
      """)
  }
}
