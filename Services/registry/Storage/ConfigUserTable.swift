import FoundationEssentials
import Postgres
import Wire

/// An artefact or a binding that uses something of the registry.
struct ConfigUser: Sendable {
  enum Kind: String, Sendable, CaseIterable { case artefact, binding }

  let kind: Kind
  let id: UUID
  let organisationId: UUID
  /// The record id of the board, sensor profile, group, device or component.
  let used: UUID
}

/// What the config service has that uses objects of the registry.
struct ConfigUserTable: Sendable {
  let database: any Querying

  /// Takes over what has begun and what has ended, in order.
  func apply(_ changes: [(user: ConfigUser, isEnd: Bool)]) async throws {
    var last: [String: (user: ConfigUser, isEnd: Bool)] = [:]
    for change in changes { last["\(change.user.kind.rawValue)/\(change.user.id)"] = change }
    let begun = last.values.filter { !$0.isEnd }.map(\.user)
    let ended = last.values.filter(\.isEnd).map(\.user)
    if !ended.isEmpty {
      try await database.query(
        """
        DELETE FROM config_user WHERE (kind, id) IN (
          SELECT * FROM unnest(\(ended.map(\.kind.rawValue))::text[], \(ended.map(\.id))::uuid[]))
        """)
    }
    if !begun.isEmpty {
      try await database.query(
        """
        INSERT INTO config_user (kind, id, organisation_id, used)
        SELECT * FROM unnest(\(begun.map(\.kind.rawValue))::text[], \(begun.map(\.id))::uuid[],
          \(begun.map(\.organisationId))::uuid[], \(begun.map(\.used))::uuid[])
        ON CONFLICT (kind, id) DO UPDATE SET (organisation_id, used) = (EXCLUDED.organisation_id, EXCLUDED.used)
        """)
    }
  }

  /// Who uses an object: the organisation's own (nil: all) by their ids, the others only that there are some.
  func names(using id: UUID, seenBy organisation: UUID?) async throws -> String? {
    let rows = try await database.query(
      """
      SELECT kind, id, \(organisation)::uuid IS NULL OR organisation_id = \(organisation) AS is_seen
      FROM config_user WHERE used = \(id) ORDER BY is_seen DESC, kind, id LIMIT \(Int64(Names.shown + 1))
      """
    ).decode((String, UUID, Bool).self)
    if let text = Self.text(rows.filter(\.2)) { return text }
    return rows.isEmpty ? nil : "artefacts or bindings of other organisations"
  }

  /// Who is an organisation's.
  func names(of organisation: UUID) async throws -> String? {
    let rows = try await database.query(
      """
      SELECT kind, id, true FROM config_user WHERE organisation_id = \(organisation)
      ORDER BY kind, id LIMIT \(Int64(Names.shown + 1))
      """
    ).decode((String, UUID, Bool).self)
    return Self.text(rows)
  }

  private static func text(_ rows: [(String, UUID, Bool)]) -> String? {
    let texts = ConfigUser.Kind.allCases.compactMap { kind in
      Names(kind.rawValue, rows.filter { $0.0 == kind.rawValue }.map(\.1.text)).text
    }
    return texts.isEmpty ? nil : texts.joined(separator: ", ")
  }
}
