import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// Writes records of the entities topic into the copy.
struct DirectoryApplier: Sendable {
  /// What a batch comes to: the newest of each entity, and those that are gone.
  private struct Batch {
    var organisations: [UUID: OrganisationEntity] = [:]
    var keys: [UUID: APIKeyEntity] = [:]
    var boards: [UUID: BoardEntity] = [:]
    var devices: [UUID: DeviceEntity] = [:]
    var removed: [EntityKind: Set<UUID>] = [:]

    mutating func put(_ entity: Entity) {
      removed[entity.kind]?.remove(entity.id)
      switch entity {
      case .organisation(let entity): organisations[entity.id] = entity
      case .apiKey(let entity): keys[entity.id] = entity
      case .board(let entity): boards[entity.id] = entity
      case .device(let entity): devices[entity.id] = entity
      }
    }

    mutating func remove(_ kind: EntityKind, _ id: UUID) {
      removed[kind, default: []].insert(id)
      switch kind {
      case .organisation: organisations[id] = nil
      case .apiKey: keys[id] = nil
      case .board: boards[id] = nil
      case .device: devices[id] = nil
      }
    }
  }

  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var batch = Batch()
    for message in messages {
      let key = String(decoding: message.key ?? [], as: UTF8.self)
      // A kind that a newer registry has and this service does not know is not a fault.
      guard let (kind, id) = EntityKind.parse(key: key) else { continue }
      guard let value = message.value else {
        batch.remove(kind, id)
        continue
      }
      do { batch.put(try Entity(kind, json: try JSON(parsing: value))) } catch {
        result.reject(message, error)
      }
    }
    _ = try await connection.pipeline(statements(batch))
    return result
  }

  private func statements(_ batch: Batch) -> [PostgresQuery] {
    var statements: [PostgresQuery] = []
    for (kind, ids) in batch.removed where !ids.isEmpty { statements.append(delete(kind, Array(ids))) }
    if !batch.organisations.isEmpty { statements.append(upsert(Array(batch.organisations.values))) }
    if !batch.keys.isEmpty { statements.append(upsert(Array(batch.keys.values))) }
    if !batch.boards.isEmpty { statements.append(upsert(Array(batch.boards.values))) }
    if !batch.devices.isEmpty { statements.append(upsert(Array(batch.devices.values))) }
    return statements
  }

  private func delete(_ kind: EntityKind, _ ids: [UUID]) -> PostgresQuery {
    switch kind {
    case .organisation: "DELETE FROM directory_organisation WHERE id = ANY(\(ids)::uuid[])"
    case .apiKey: "DELETE FROM directory_api_key WHERE id = ANY(\(ids)::uuid[])"
    case .board: "DELETE FROM directory_board WHERE id = ANY(\(ids)::uuid[])"
    case .device: "DELETE FROM directory_device WHERE id = ANY(\(ids)::uuid[])"
    }
  }

  private func upsert(_ entities: [OrganisationEntity]) -> PostgresQuery {
    """
    INSERT INTO directory_organisation AS o (id, slug, rev)
    SELECT * FROM unnest(
      \(entities.map(\.id))::uuid[], \(entities.map(\.slug))::text[], \(entities.map(\.rev))::bigint[])
    ON CONFLICT (id) DO UPDATE SET slug = EXCLUDED.slug, rev = EXCLUDED.rev WHERE o.rev < EXCLUDED.rev
    """
  }

  private func upsert(_ entities: [APIKeyEntity]) -> PostgresQuery {
    """
    INSERT INTO directory_api_key AS k (id, hash, organisation_id, name, role, expires_at, rev)
    SELECT * FROM unnest(
      \(entities.map(\.id))::uuid[], \(entities.map(\.hash))::text[], \(entities.map(\.organisationId))::uuid[],
      \(entities.map(\.name))::text[], \(entities.map(\.role.rawValue))::text[],
      \(entities.map(\.expiresAt))::timestamptz[], \(entities.map(\.rev))::bigint[])
    ON CONFLICT (id) DO UPDATE SET (hash, organisation_id, name, role, expires_at, rev)
      = (EXCLUDED.hash, EXCLUDED.organisation_id, EXCLUDED.name, EXCLUDED.role, EXCLUDED.expires_at, EXCLUDED.rev)
      WHERE k.rev < EXCLUDED.rev
    """
  }

  private func upsert(_ entities: [BoardEntity]) -> PostgresQuery {
    """
    INSERT INTO directory_board AS b (id, organisation_id, document, rev)
    SELECT * FROM unnest(
      \(entities.map(\.id))::uuid[], \(entities.map(\.organisationId))::uuid[],
      \(entities.map { PostgresJSON(bytes: Entity.board($0).json.bytes) })::jsonb[], \(entities.map(\.rev))::bigint[])
    ON CONFLICT (id) DO UPDATE SET (organisation_id, document, rev)
      = (EXCLUDED.organisation_id, EXCLUDED.document, EXCLUDED.rev) WHERE b.rev < EXCLUDED.rev
    """
  }

  private func upsert(_ entities: [DeviceEntity]) -> PostgresQuery {
    """
    INSERT INTO directory_device AS d (id, device_id, mcu_id, soc, board_id, organisation_id, rev)
    SELECT * FROM unnest(
      \(entities.map(\.id))::uuid[], \(entities.map(\.deviceId))::text[], \(entities.map(\.mcuId))::text[],
      \(entities.map(\.soc))::text[], \(entities.map(\.boardId))::uuid[],
      \(entities.map(\.organisationId))::uuid[], \(entities.map(\.rev))::bigint[])
    ON CONFLICT (id) DO UPDATE SET (device_id, mcu_id, soc, board_id, organisation_id, rev)
      = (EXCLUDED.device_id, EXCLUDED.mcu_id, EXCLUDED.soc, EXCLUDED.board_id, EXCLUDED.organisation_id,
         EXCLUDED.rev)
      WHERE d.rev < EXCLUDED.rev
    """
  }
}
