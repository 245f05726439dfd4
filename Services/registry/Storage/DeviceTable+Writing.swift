import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// Changes of devices and their metadata, one or many in each statement: a request's is a list of one.
extension DeviceTable {
  func update(_ devices: [Device]) async throws {
    guard !devices.isEmpty else { return }
    try await database.query(
      """
      UPDATE device t SET updated_at = n.updated_at, mcu_id = n.mcu_id, board_id = n.board_id, soc = n.soc,
        metadata = n.metadata, network_id = n.network_id, name = n.name, rev = n.rev
      FROM unnest(\(devices.map(\.id))::uuid[], \(devices.map(\.updatedAt))::timestamptz[],
        \(devices.map(\.mcuId))::text[], \(devices.map(\.boardId))::uuid[], \(devices.map(\.soc))::text[],
        \(devices.map { PostgresJSON(bytes: $0.metadata.json.bytes) })::jsonb[], \(devices.map(\.networkId))::uuid[],
        \(devices.map(\.name))::text[], \(devices.map(\.rev))::bigint[])
        AS n (id, updated_at, mcu_id, board_id, soc, metadata, network_id, name, rev)
      WHERE t.id = n.id
      """)
  }

  /// A field that is to be written, of which device.
  private struct Entry {
    let device: Device
    let field: Metadata.Field
    let isUnique: Bool
  }

  /// Writes the metadata of devices field by field, in the place of what they had. Of those that want the same value the
  /// first one has it.
  /// - Parameter unique: the fields whose values no other device of a board may have, empty ones apart.
  /// - Returns: the fields whose values another has; their devices must not stay so.
  /// - Throws: `NotTogether` if a device wants what only a later one gives up.
  func index(_ devices: [Device], unique: [UUID: Set<ExactText>]) async throws -> [(
    device: UUID, field: String
  )] {
    let old = devices.filter { $0.rev > 1 }.map(\.id)
    var freed: [ExactText: UUID] = [:]
    if !old.isEmpty {
      let gone = try await database.query(
        """
        WITH gone AS (
          DELETE FROM device_metadata WHERE device = ANY(\(old)::uuid[])
          RETURNING device, board, name, value, is_unique
        )
        SELECT device, board, name, value FROM gone WHERE is_unique
        """
      ).decode((UUID, UUID, String, String).self)
      for (device, board, name, value) in gone { freed[Self.key(board, name, value)] = device }
    }
    let entries = devices.flatMap { device in
      device.metadata.fields.map { field in
        Entry(
          device: device, field: field,
          isUnique: !field.value.isEmpty && unique[device.boardId]?.contains(ExactText(field.name)) == true)
      }
    }
    guard !entries.isEmpty else { return [] }
    let places = Dictionary(
      devices.enumerated().map { ($0.element.id, $0.offset) }, uniquingKeysWith: { first, _ in first })
    for entry in freed.isEmpty ? [] : entries where entry.isUnique {
      let owner = freed[Self.key(entry.device.boardId, entry.field.name, entry.field.value)]
      if let owner, places[owner, default: 0] > places[entry.device.id, default: 0] { throw NotTogether() }
    }
    // In one order for all, so that two imports never wait for each other in a circle. Only what may be missing is told.
    let written = Set(
      try await database.query(
        """
        WITH written AS (
          INSERT INTO device_metadata (device, organisation, board, name, value, is_unique)
          SELECT device, organisation, board, name, value, is_unique
          FROM unnest(\(entries.map(\.device.id))::uuid[], \(entries.map(\.device.organisationId))::uuid[],
            \(entries.map(\.device.boardId))::uuid[], \(entries.map(\.field.name))::text[],
            \(entries.map(\.field.value))::text[], \(entries.map(\.isUnique))::boolean[])
            WITH ORDINALITY AS f (device, organisation, board, name, value, is_unique, place)
          ORDER BY CASE WHEN is_unique THEN name END, CASE WHEN is_unique THEN value END, place
          ON CONFLICT (board, name, value) WHERE is_unique DO NOTHING RETURNING device, name, is_unique
        )
        SELECT device, name FROM written WHERE is_unique
        """
      ).decode((UUID, String).self).map { ExactText("\($0.0.text) \($0.1)") })
    return entries.filter {
      $0.isUnique && !written.contains(ExactText("\($0.device.id.text) \($0.field.name)"))
    }.map { ($0.device.id, $0.field.name) }
  }

  private static func key(_ board: UUID, _ name: String, _ value: String) -> ExactText {
    ExactText("\(board.text) \(name.utf8.count) \(name) \(value)")
  }
}
