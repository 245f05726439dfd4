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

  /// Locks the binding of a target and slot until the transaction ends.
  func lock(
    _ target: Target, slot: String, in organisation: UUID, _ connection: PostgresConnection
  ) async throws -> Binding? {
    try await connection.query(
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

  /// How far the devices are for which these bindings have won. Counted over the few different observations that
  /// there can be, each of which Domain turns into its state: the same answer as for the single device.
  func convergence(_ bindings: [UUID]) async throws -> [UUID: Convergence] {
    let rows = try await database.query(
      """
      SELECT s.binding_id, c.published_revision >= s.since, s.reported_status,
             COALESCE(s.reported_version = a.version, false), COALESCE(s.reported_sha256 = a.sha256, false),
             count(*)
      FROM desired_slot s
      JOIN device_configuration c ON c.device_id = s.device_id
      JOIN artefact a ON a.id = s.artefact_id
      WHERE s.binding_id = ANY(\(bindings)::uuid[]) GROUP BY 1, 2, 3, 4, 5
      """)
    return try rows.reduce(into: [:]) { convergences, row in
      let (binding, isDelivered, status, isVersion, isHash, count) = try row.decode(
        (UUID, Bool, ReportedSlot.Status?, Bool, Bool, Int).self)
      let report = status.map {
        SlotState.Observation(status: $0, isDesiredVersion: isVersion, isDesiredHash: isHash)
      }
      convergences[binding, default: Convergence()]
        .add(SlotState(isDelivered: isDelivered, report: report), count: count)
    }
  }

  private static let columns =
    """
    b.id, b.organisation_id, b.target_type, b.target_id, b.slot, b.artefact_id, a.version, b.priority, b.rev, \
    b.created_at, b.updated_at, b.updated_by
    """

  private static func binding(_ row: PostgresRow) throws -> Binding {
    let (
      id, organisation, type, target, slot, artefact, version, priority, rev, createdAt, updatedAt, updatedBy
    ) =
      try row.decode(
        (UUID, UUID, TargetType, UUID, String, UUID, Int, Int, Int64, Date, Date, String).self)
    return Binding(
      id: id, organisationId: organisation, target: Target(type: type, id: target), slot: slot,
      artefactId: artefact,
      version: version, priority: priority, rev: rev, createdAt: createdAt, updatedAt: updatedAt,
      updatedBy: updatedBy)
  }
}

extension TargetType: PostgresCodable {}
extension ReportedSlot.Status: PostgresCodable {}
