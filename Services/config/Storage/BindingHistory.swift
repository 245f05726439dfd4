import ConfigDomain
import FoundationEssentials
import Postgres

/// What a change made of a binding.
struct BindingChange: Sendable {
  /// What one had bound.
  struct Bound: Sendable, Equatable {
    let artefactId: UUID
    let version: Int
    let priority: Int
  }

  let bindingId: UUID
  /// The binding's revision by this change; one more than its last for its end.
  let rev: Int64
  let at: Date
  let author: String
  /// Nil for a new one.
  let before: Bound?
  /// Nil for its end.
  let after: Bound?
}

extension Binding {
  var bound: BindingChange.Bound { .init(artefactId: artefactId, version: version, priority: priority) }
}

/// The table of all changes of all bindings.
enum BindingHistory {
  /// Keeps a change.
  /// - Parameter binding: as it is now, or as it was before its end.
  static func add(_ change: BindingChange, of binding: Binding) -> PostgresQuery {
    """
    INSERT INTO binding_history (binding_id, rev, organisation_id, target_type, target_id, slot, at, by,
      artefact_before, version_before, priority_before, artefact_after, version_after, priority_after)
    VALUES (\(change.bindingId), \(change.rev), \(binding.organisationId), \(binding.target.type), \(binding.target.id),
      \(binding.slot), \(change.at), \(change.author),
      \(change.before?.artefactId), \(change.before?.version), \(change.before?.priority),
      \(change.after?.artefactId), \(change.after?.version), \(change.after?.priority))
    """
  }

  /// The changes of one, the newest first; empty for one that never was.
  static func list(
    _ binding: UUID, in organisation: UUID?, before rev: Int64?, limit: Int, _ database: PostgresClient
  ) async throws -> [BindingChange] {
    try await database.query(
      """
      SELECT binding_id, rev, at, by, artefact_before, version_before, priority_before,
        artefact_after, version_after, priority_after
      FROM binding_history
      WHERE binding_id = \(binding) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
        AND (\(rev)::bigint IS NULL OR rev < \(rev))
      ORDER BY rev DESC LIMIT \(limit)
      """
    ).decode((UUID, Int64, Date, String, UUID?, Int?, Int?, UUID?, Int?, Int?).self).map { row in
      let (id, rev, at, by, artefactBefore, versionBefore, priorityBefore, artefact, version, priority) = row
      return BindingChange(
        bindingId: id, rev: rev, at: at, author: by,
        before: bound(artefactBefore, versionBefore, priorityBefore),
        after: bound(artefact, version, priority))
    }
  }

  private static func bound(_ artefact: UUID?, _ version: Int?, _ priority: Int?) -> BindingChange.Bound? {
    guard let artefact, let version, let priority else { return nil }
    return .init(artefactId: artefact, version: version, priority: priority)
  }
}
