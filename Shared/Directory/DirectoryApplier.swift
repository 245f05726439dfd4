import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// Writes records of the entities topic into the copy.
///
/// Each only if it is newer than what is known of its entity, be that the entity or its deletion: records may come again,
/// and an older one after a newer.
struct DirectoryApplier: Sendable {
  /// Hears of the devices that have changed, in the transaction that writes them.
  var changed: DeviceDirectory.Changed?

  /// What a batch comes to: the newest of each entity.
  private struct Batch {
    private var newest: [EntityKind: [UUID: EntityRecord]] = [:]

    mutating func add(_ record: EntityRecord) {
      if let known = newest[record.kind]?[record.id], known.rev >= record.rev { return }
      newest[record.kind, default: [:]][record.id] = record
    }

    func deletions(_ kind: EntityKind) -> [EntityDeletion] {
      newest[kind, default: [:]].values.compactMap { if case .deleted(let end) = $0 { end } else { nil } }
    }

    var present: [Entity] {
      newest.values.flatMap { $0.values.compactMap { if case .present(let it) = $0 { it } else { nil } } }
    }
  }

  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var records: [EntityRecord] = []
    for message in messages {
      let key = message.keyText
      // A kind that a newer registry has and this service does not know is not a fault.
      guard let (kind, id) = EntityKind.parse(key: key) else { continue }
      do { records.append(try EntityRecord(kind, id, value: message.value)) } catch {
        result.reject(message, error)
      }
    }
    try await apply(records, connection)
    return result
  }

  func apply(_ records: [EntityRecord], _ connection: PostgresConnection) async throws {
    var batch = Batch()
    for record in records { batch.add(record) }
    let (statements, devices) = Self.statements(batch)
    let answers = try await connection.pipeline(statements)
    guard let changed, let devices else { return }
    let ids = try answers[devices].decode(UUID.self)
    if !ids.isEmpty { try await changed(ids, connection) }
  }

  /// - Returns: what is to be done, and which of it answers with the devices that it has written.
  private static func statements(_ batch: Batch) -> ([PostgresQuery], devices: Int?) {
    var statements: [PostgresQuery] = []
    for kind in EntityKind.allCases {
      let deletions = batch.deletions(kind)
      if !deletions.isEmpty { statements.append(DirectoryTables.delete(kind, deletions)) }
    }
    var organisations: [OrganisationEntity] = []
    var keys: [APIKeyEntity] = []
    var boards: [BoardEntity] = []
    var devices: [DeviceEntity] = []
    var profiles: [SensorProfileEntity] = []
    var groups: [GroupEntity] = []
    for entity in batch.present {
      switch entity {
      case .organisation(let entity): organisations.append(entity)
      case .apiKey(let entity): keys.append(entity)
      case .board(let entity): boards.append(entity)
      case .device(let entity): devices.append(entity)
      case .sensorProfile(let entity): profiles.append(entity)
      case .group(let entity): groups.append(entity)
      }
    }
    if !organisations.isEmpty { statements.append(DirectoryTables.put(organisations)) }
    if !keys.isEmpty { statements.append(DirectoryTables.put(keys)) }
    if !boards.isEmpty { statements.append(DirectoryTables.put(boards)) }
    let place = devices.isEmpty ? nil : statements.count
    if !devices.isEmpty { statements.append(DirectoryTables.put(devices)) }
    if !profiles.isEmpty { statements.append(DirectoryTables.put(profiles)) }
    if !groups.isEmpty { statements.append(DirectoryTables.put(groups)) }
    return (statements, place)
  }
}
