import ConfigDomain
import FoundationEssentials
import Postgres
import Wire

/// The table of plans.
enum PlanStore {
  struct Stored: Sendable {
    let id: UUID
    let organisationId: UUID
    /// As `changes` was written.
    let changes: JSON
    let outcome: PlanDigest
    let expiresAt: Date
    var appliedAt: Date?
  }

  static func add(_ plan: Stored, at now: Date, by author: String) -> PostgresQuery {
    """
    INSERT INTO binding_plan (id, organisation_id, changes, outcome, created_at, created_by, expires_at)
    VALUES (\(plan.id), \(plan.organisationId), \(PostgresJSON(bytes: plan.changes.bytes)), \(plan.outcome.bytes),
      \(now), \(author), \(plan.expiresAt))
    """
  }

  /// Locks a plan until the transaction ends.
  static func lock(
    _ id: UUID, in organisation: UUID, _ connection: PostgresConnection
  ) async throws -> Stored? {
    try await connection.query(
      """
      SELECT changes, outcome, expires_at, applied_at FROM binding_plan
      WHERE id = \(id) AND organisation_id = \(organisation) FOR UPDATE
      """
    ).first.map { row in
      let (changes, outcome, expiresAt, appliedAt) = try row.decode((PostgresJSON, [UInt8], Date, Date?).self)
      return Stored(
        id: id, organisationId: organisation, changes: try JSON(parsing: changes.bytes),
        outcome: PlanDigest(bytes: outcome), expiresAt: expiresAt, appliedAt: appliedAt)
    }
  }

  static func applied(_ id: UUID, at now: Date, by author: String) -> PostgresQuery {
    "UPDATE binding_plan SET applied_at = \(now), applied_by = \(author) WHERE id = \(id)"
  }

  /// Forgets plans a day after their time.
  static func sweep(_ database: PostgresClient) async throws {
    try await database.query("DELETE FROM binding_plan WHERE expires_at < now() - interval '1 day'")
  }

  /// The devices of an organisation that these targets reach, in the order of ids.
  static func reach(
    of targets: Set<Target>, in organisation: UUID, _ connection: PostgresConnection
  ) async throws -> [UUID] {
    guard !targets.isEmpty else { return [] }
    let parts = targets.map {
      """
      SELECT id FROM directory_device
      WHERE organisation_id = '\(organisation.text)'::uuid AND \(TargetReach.condition($0.type, $0.id))
      """
    }
    return try await connection.query(
      PostgresQuery(unsafeSQL: parts.joined(separator: " UNION ") + " ORDER BY id")
    ).decode(UUID.self)
  }
}
