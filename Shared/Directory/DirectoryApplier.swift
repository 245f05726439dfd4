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
      let key = String(decoding: message.key ?? [], as: UTF8.self)
      // A kind that a newer registry has and this service does not know is not a fault.
      guard let (kind, id) = EntityKind.parse(key: key) else { continue }
      do { records.append(try EntityRecord(kind, id, value: message.value)) } catch {
        result.reject(message, error)
      }
    }
    try await Self.apply(records, connection)
    return result
  }

  static func apply(_ records: [EntityRecord], _ connection: PostgresConnection) async throws {
    var batch = Batch()
    for record in records { batch.add(record) }
    _ = try await connection.pipeline(statements(batch))
  }

  private static func statements(_ batch: Batch) -> [PostgresQuery] {
    var statements: [PostgresQuery] = []
    for kind in EntityKind.allCases {
      let deletions = batch.deletions(kind)
      if !deletions.isEmpty { statements.append(DirectoryTables.delete(kind, deletions)) }
    }
    var organisations: [OrganisationEntity] = []
    var keys: [APIKeyEntity] = []
    var boards: [BoardEntity] = []
    var devices: [DeviceEntity] = []
    for entity in batch.present {
      switch entity {
      case .organisation(let entity): organisations.append(entity)
      case .apiKey(let entity): keys.append(entity)
      case .board(let entity): boards.append(entity)
      case .device(let entity): devices.append(entity)
      }
    }
    if !organisations.isEmpty { statements.append(DirectoryTables.put(organisations)) }
    if !keys.isEmpty { statements.append(DirectoryTables.put(keys)) }
    if !boards.isEmpty { statements.append(DirectoryTables.put(boards)) }
    if !devices.isEmpty { statements.append(DirectoryTables.put(devices)) }
    return statements
  }
}
