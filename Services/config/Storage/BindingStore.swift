import ConfigDomain
import FoundationEssentials
import Postgres
import Wire

/// The table of bindings, and the numbers of their convergence.
struct BindingStore: Sendable {
  /// What a list of bindings is narrowed to.
  struct Filter: Sendable {
    /// Nil for all of them.
    var organisation: UUID?
    var targetType: TargetType?
    var targetId: UUID?
    var slot: String?
    var artefactId: UUID?
  }

  let database: PostgresClient

  /// Locks the binding of a target and slot until the transaction ends, also one that is not there yet: of two that make it
  /// at once, the second finds the first's.
  func lock(
    _ target: Target, slot: String, in organisation: UUID, _ connection: PostgresConnection
  ) async throws -> Binding? {
    try await connection.enqueue([BindingLock.take(target, slot: slot, in: organisation)])
    return try await connection.query(
      """
      SELECT \(unescaped: Self.columns) FROM binding b JOIN artefact a ON a.id = b.artefact_id
      WHERE (b.organisation_id, b.target_type, b.target_id, b.slot)
        = (\(organisation), \(target.type), \(target.id), \(slot))
      FOR UPDATE OF b
      """
    ).first.map(Self.binding)
  }

  /// Locks a binding by its id until the transaction ends.
  func lock(_ id: UUID, in organisation: UUID?, _ connection: PostgresConnection) async throws -> Binding? {
    try await connection.query(
      """
      SELECT \(unescaped: Self.columns) FROM binding b JOIN artefact a ON a.id = b.artefact_id
      WHERE b.id = \(id) AND (\(organisation)::uuid IS NULL OR b.organisation_id = \(organisation))
      FOR UPDATE OF b
      """
    ).first.map(Self.binding)
  }

  /// Makes or changes one.
  func put(_ binding: Binding, _ connection: PostgresConnection) async throws {
    try await connection.query(
      """
      INSERT INTO binding (id, organisation_id, target_type, target_id, slot, artefact_id, priority, rev,
                           created_at, updated_at, updated_by)
      VALUES (\(binding.id), \(binding.organisationId), \(binding.target.type), \(binding.target.id),
              \(binding.slot), \(binding.artefactId), \(binding.priority), \(binding.rev),
              \(binding.createdAt), \(binding.updatedAt), \(binding.updatedBy))
      ON CONFLICT (id) DO UPDATE SET (artefact_id, priority, rev, updated_at, updated_by)
        = (EXCLUDED.artefact_id, EXCLUDED.priority, EXCLUDED.rev, EXCLUDED.updated_at, EXCLUDED.updated_by)
      """)
  }

  func delete(_ id: UUID, _ connection: PostgresConnection) async throws {
    try await connection.query("DELETE FROM binding WHERE id = \(id)")
  }

  /// - Parameter organisation: nil for any.
  func find(_ id: UUID, in organisation: UUID?) async throws -> Binding? {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM binding b JOIN artefact a ON a.id = b.artefact_id
      WHERE b.id = \(id) AND (\(organisation)::uuid IS NULL OR b.organisation_id = \(organisation))
      """
    ).first.map(Self.binding)
  }

  func list(_ filter: Filter, _ page: Keyset) async throws -> [Binding] {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM binding b JOIN artefact a ON a.id = b.artefact_id
      WHERE (\(filter.organisation)::uuid IS NULL OR b.organisation_id = \(filter.organisation))
        AND (\(filter.targetType)::text IS NULL OR b.target_type = \(filter.targetType))
        AND (\(filter.targetId)::uuid IS NULL OR b.target_id = \(filter.targetId))
        AND (\(filter.slot)::text IS NULL OR b.slot = \(filter.slot))
        AND (\(filter.artefactId)::uuid IS NULL OR b.artefact_id = \(filter.artefactId))
        AND (\(page.after)::uuid IS NULL OR b.id > \(page.after))
      ORDER BY b.id LIMIT \(page.limit)
      """
    ).map(Self.binding)
  }

  /// The bindings of these targets, with what their artefacts are for.
  /// - Parameter organisations: whose bindings: a public board is a target of many.
  func active(
    of targets: some Collection<Target>, in organisations: Set<UUID>, _ connection: PostgresConnection
  ) async throws -> [Target: [ActiveBinding]] {
    let rows = try await connection.query(
      """
      SELECT \(unescaped: Self.columns), a.profile_type, a.profile_id, a.sha256, a.content_type
      FROM binding b JOIN artefact a ON a.id = b.artefact_id
      WHERE b.target_id = ANY(\(Array(Set(targets.map(\.id))))::uuid[])
        AND b.organisation_id = ANY(\(Array(organisations))::uuid[])
      """)
    return try rows.reduce(into: [:]) { found, row in
      let binding = try Self.binding(row)
      let active = ActiveBinding(
        binding,
        profile: Profile(type: try row["profile_type"].decode(), id: try row["profile_id"].decode()),
        artefact: ArtefactReference(
          id: binding.artefactId, version: binding.version, sha256: try row["sha256"].decode(),
          contentType: try row["content_type"].decode()))
      found[binding.target, default: []].append(active)
    }
  }

  /// Of the next bindings in the order of ids those whose target the registry has deleted.
  /// - Returns: also the last that was looked at; nil when there are no more.
  func orphans(after id: UUID?, limit: Int) async throws -> (orphans: [UUID], last: UUID?) {
    let rows = try await database.query(
      """
      SELECT b.id, EXISTS (\(unescaped: Self.deletionOfTarget)) FROM (
        SELECT * FROM binding WHERE \(id)::uuid IS NULL OR id > \(id) ORDER BY id LIMIT \(limit)
      ) b ORDER BY b.id
      """
    ).decode((UUID, Bool).self)
    return (rows.filter(\.1).map(\.0), rows.count == limit ? rows.last?.0 : nil)
  }

  /// The same of those that have one of these targets.
  func orphans(of targets: [UUID]) async throws -> [UUID] {
    try await database.query(
      """
      SELECT b.id FROM binding b
      WHERE b.target_id = ANY(\(targets)::uuid[]) AND EXISTS (\(unescaped: Self.deletionOfTarget))
      """
    ).decode(UUID.self)
  }

  /// The deviceId that a target had which was one device, or a part of one, and is no more.
  func deviceOfGone(_ target: Target, _ connection: PostgresConnection) async throws -> String? {
    try await connection.query(
      """
      SELECT device_id FROM directory_deletion
      WHERE id = \(target.id) AND kind IN ('device', 'component') AND device_id IS NOT NULL
      """
    ).first?.decode(String.self)
  }

  private static let deletionOfTarget = """
    SELECT FROM directory_deletion x WHERE x.id = b.target_id AND x.kind = CASE b.target_type
      WHEN 'DEVICE' THEN 'device' WHEN 'DEVICE_GROUP' THEN 'group' WHEN 'DEVICE_PROFILE' THEN 'board'
      WHEN 'SENSOR_PROFILE' THEN 'sensorProfile' WHEN 'COMPONENT' THEN 'component' END
    """

  /// How far the devices and components are for which these bindings have won: from the rows that the resolver writes, read
  /// from an index.
  func convergence(_ bindings: [UUID]) async throws -> [UUID: Convergence] {
    guard !bindings.isEmpty else { return [:] }
    let results = try await database.pipeline([
      """
      SELECT binding_id, status, count(*) FROM desired_slot
      WHERE binding_id = ANY(\(bindings)::uuid[]) GROUP BY 1, 2
      """,
      """
      SELECT binding_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds)
      FROM (
        SELECT binding_id, extract(epoch FROM converged_at - since_at)::float8 AS seconds FROM desired_slot
        WHERE binding_id = ANY(\(bindings)::uuid[]) AND status = 'ACCEPTED' AND converged_at IS NOT NULL
      ) s GROUP BY 1
      """,
    ])
    var convergences: [UUID: Convergence] = [:]
    for (binding, status, count) in try results[0].decode((UUID, SlotState.Status, Int).self) {
      convergences[binding, default: Convergence()].add(status, count: count)
    }
    for (binding, median, slow) in try results[1].decode((UUID, Double, Double).self) {
      convergences[binding]?.medianSeconds = median
      convergences[binding]?.slowSeconds = slow
    }
    return convergences
  }

  private static let columns =
    """
    b.id, b.organisation_id, b.target_type, b.target_id, b.slot, b.artefact_id, a.version, b.priority, b.rev, \
    b.created_at, b.updated_at, b.updated_by
    """

  private static func binding(_ row: PostgresRow) throws -> Binding {
    Binding(
      id: try row["id"].decode(), organisationId: try row["organisation_id"].decode(),
      target: Target(type: try row["target_type"].decode(), id: try row["target_id"].decode()),
      slot: try row["slot"].decode(), artefactId: try row["artefact_id"].decode(),
      version: try row["version"].decode(), priority: try row["priority"].decode(),
      rev: try row["rev"].decode(),
      createdAt: try row["created_at"].decode(), updatedAt: try row["updated_at"].decode(),
      updatedBy: try row["updated_by"].decode())
  }
}

extension TargetType: PostgresCodable {}
extension ReportedSlot.Status: PostgresCodable {}
extension SlotState.Status: PostgresCodable {}
