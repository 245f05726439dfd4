import FoundationEssentials
import Postgres
import Wire

// What a batch of records changes, each kind in one statement.
extension DirectoryTables {
  private static func table(_ kind: EntityKind) -> String {
    switch kind {
    case .organisation: "directory_organisation"
    case .apiKey: "directory_api_key"
    case .board: "directory_board"
    case .device: "directory_device"
    case .sensorProfile: "directory_sensor_profile"
    case .group: "directory_group"
    }
  }

  /// Removes entities and remembers with which revision they ended.
  static func delete(_ kind: EntityKind, _ deletions: [EntityDeletion]) -> PostgresQuery {
    // An organisation, key or board has no deviceId, and nothing is cleaned up after it.
    let removed =
      kind == .device
      ? "id, rev, device_id, components" : "id, rev, NULL::text AS device_id, NULL::jsonb AS components"
    return """
      WITH ended AS (
        SELECT * FROM unnest(
          \(deletions.map(\.id))::uuid[], \(deletions.map(\.rev))::bigint[], \(deletions.map(\.deviceId))::text[]
        ) AS e (id, rev, device_id)
      ), removed AS (
        DELETE FROM \(unescaped: table(kind)) t
        WHERE id = ANY(\(deletions.map(\.id))::uuid[]) AND EXISTS (SELECT FROM ended e WHERE e.id = t.id AND e.rev >= t.rev)
        RETURNING \(unescaped: removed)
      ), parts AS (
        INSERT INTO directory_deletion (kind, id, rev, device_id)
        SELECT 'component', (c->>'id')::uuid, r.rev, r.device_id FROM removed r, jsonb_array_elements(r.components) c
        ON CONFLICT DO NOTHING
      )
      INSERT INTO directory_deletion AS x (kind, id, rev, device_id, look_at)
      SELECT \(kind.rawValue), e.id, e.rev, COALESCE(e.device_id, r.device_id),
        CASE WHEN \(kind == .device) THEN now() END
      FROM ended e LEFT JOIN removed r ON r.id = e.id
      ON CONFLICT (kind, id) DO UPDATE SET rev = EXCLUDED.rev WHERE x.rev < EXCLUDED.rev
      """
  }

  static func put(_ entities: [OrganisationEntity]) -> PostgresQuery {
    """
    INSERT INTO directory_organisation AS o (id, slug, rev)
    SELECT * FROM unnest(
      \(entities.map(\.id))::uuid[], \(entities.map(\.slug))::text[], \(entities.map(\.rev))::bigint[]
    ) AS n (id, slug, rev)
    WHERE \(unescaped: isAlive(.organisation))
    ON CONFLICT (id) DO UPDATE SET slug = EXCLUDED.slug, rev = EXCLUDED.rev WHERE o.rev < EXCLUDED.rev
    """
  }

  static func put(_ entities: [APIKeyEntity]) -> PostgresQuery {
    """
    INSERT INTO directory_api_key AS k (id, hash, organisation_id, name, role, expires_at, rev)
    SELECT * FROM unnest(
      \(entities.map(\.id))::uuid[], \(entities.map(\.hash))::text[], \(entities.map(\.organisationId))::uuid[],
      \(entities.map(\.name))::text[], \(entities.map(\.role.rawValue))::text[],
      \(entities.map(\.expiresAt))::timestamptz[], \(entities.map(\.rev))::bigint[]
    ) AS n (id, hash, organisation_id, name, role, expires_at, rev)
    WHERE \(unescaped: isAlive(.apiKey))
    ON CONFLICT (id) DO UPDATE SET (hash, organisation_id, name, role, expires_at, rev)
      = (EXCLUDED.hash, EXCLUDED.organisation_id, EXCLUDED.name, EXCLUDED.role, EXCLUDED.expires_at, EXCLUDED.rev)
      WHERE k.rev < EXCLUDED.rev
    """
  }

  static func put(_ entities: [BoardEntity]) -> PostgresQuery {
    """
    INSERT INTO directory_board AS b (id, organisation_id, document, rev)
    SELECT * FROM unnest(
      \(entities.map(\.id))::uuid[], \(entities.map(\.organisationId))::uuid[],
      \(entities.map { PostgresJSON(bytes: Entity.board($0).json.bytes) })::jsonb[], \(entities.map(\.rev))::bigint[]
    ) AS n (id, organisation_id, document, rev)
    WHERE \(unescaped: isAlive(.board))
    ON CONFLICT (id) DO UPDATE SET (organisation_id, document, rev)
      = (EXCLUDED.organisation_id, EXCLUDED.document, EXCLUDED.rev) WHERE b.rev < EXCLUDED.rev
    """
  }

  /// The groups of a device are one text, `{…}`: arrays of arrays must not differ in length. Returns the ids of those that
  /// were written. A component that a device had and has no more has ended: the registry tells no end of its own.
  static func put(_ entities: [DeviceEntity]) -> PostgresQuery {
    let groups = entities.map { "{" + $0.groupIds.map(\.text).joined(separator: ",") + "}" }
    let components = entities.map { PostgresJSON(bytes: JSON.array($0.components.map(\.json)).bytes) }
    return """
      WITH n AS MATERIALIZED (
        SELECT * FROM unnest(
          \(entities.map(\.id))::uuid[], \(entities.map(\.deviceId))::text[], \(entities.map(\.mcuId))::text[],
          \(entities.map(\.soc))::text[], \(entities.map(\.boardId))::uuid[],
          \(entities.map(\.organisationId))::uuid[], \(entities.map(\.networkId))::uuid[], \(groups)::text[],
          \(components)::jsonb[], \(entities.map(\.rev))::bigint[]
        ) AS n (id, device_id, mcu_id, soc, board_id, organisation_id, network_id, group_ids, components, rev)
        WHERE \(unescaped: isAlive(.device))
      ), parts AS (
        INSERT INTO directory_deletion (kind, id, rev, device_id)
        SELECT 'component', (c->>'id')::uuid, n.rev, n.device_id
        FROM n JOIN directory_device d ON d.id = n.id AND d.rev < n.rev AND d.components <> '[]',
          jsonb_array_elements(d.components) c
        WHERE NOT n.components @> jsonb_build_array(jsonb_build_object('id', c->'id'))
        ON CONFLICT DO NOTHING
      )
      INSERT INTO directory_device AS d (id, device_id, mcu_id, soc, board_id, organisation_id, network_id, group_ids,
        components, rev)
      SELECT id, device_id, mcu_id, soc, board_id, organisation_id, network_id, group_ids::uuid[], components, rev FROM n
      ON CONFLICT (id) DO UPDATE SET (device_id, mcu_id, soc, board_id, organisation_id, network_id, group_ids,
          components, rev)
        = (EXCLUDED.device_id, EXCLUDED.mcu_id, EXCLUDED.soc, EXCLUDED.board_id, EXCLUDED.organisation_id,
           EXCLUDED.network_id, EXCLUDED.group_ids, EXCLUDED.components, EXCLUDED.rev)
        WHERE d.rev < EXCLUDED.rev
      RETURNING d.id
      """
  }

  static func put(_ entities: [SensorProfileEntity]) -> PostgresQuery {
    """
    INSERT INTO directory_sensor_profile AS p (id, organisation_id, document, rev)
    SELECT * FROM unnest(
      \(entities.map(\.id))::uuid[], \(entities.map(\.organisationId))::uuid[],
      \(entities.map { PostgresJSON(bytes: Entity.sensorProfile($0).json.bytes) })::jsonb[],
      \(entities.map(\.rev))::bigint[]
    ) AS n (id, organisation_id, document, rev)
    WHERE \(unescaped: isAlive(.sensorProfile))
    ON CONFLICT (id) DO UPDATE SET (organisation_id, document, rev)
      = (EXCLUDED.organisation_id, EXCLUDED.document, EXCLUDED.rev) WHERE p.rev < EXCLUDED.rev
    """
  }

  static func put(_ entities: [GroupEntity]) -> PostgresQuery {
    """
    INSERT INTO directory_group AS g (id, organisation_id, name, rev)
    SELECT * FROM unnest(
      \(entities.map(\.id))::uuid[], \(entities.map(\.organisationId))::uuid[],
      \(entities.map(\.name))::text[], \(entities.map(\.rev))::bigint[]
    ) AS n (id, organisation_id, name, rev)
    WHERE \(unescaped: isAlive(.group))
    ON CONFLICT (id) DO UPDATE SET (organisation_id, name, rev)
      = (EXCLUDED.organisation_id, EXCLUDED.name, EXCLUDED.rev) WHERE g.rev < EXCLUDED.rev
    """
  }

  /// Of a row `n` that is to be written: whether it is newer than the end of its entity.
  private static func isAlive(_ kind: EntityKind) -> String {
    """
    NOT EXISTS (
      SELECT FROM directory_deletion x WHERE x.kind = '\(kind.rawValue)' AND x.id = n.id AND x.rev >= n.rev)
    """
  }
}
