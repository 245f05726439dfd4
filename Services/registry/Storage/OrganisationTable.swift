import FoundationEssentials
import Postgres
import RegistryDomain

/// Organisations in the database.
struct OrganisationTable: Sendable {
  let database: any Querying

  private static let columns = "t.id, t.name, t.slug, t.created_at, t.updated_at, t.rev"

  private static func read(_ row: PostgresRow) throws -> Organisation {
    let (id, name, slug, createdAt, updatedAt, rev) = try row.decode(
      (UUID, String, String, Date, Date, Int64).self)
    return Organisation(id: id, createdAt: createdAt, updatedAt: updatedAt, name: name, slug: slug, rev: rev)
  }

  func insert(_ organisation: Organisation) async throws {
    try await database.query(
      """
      INSERT INTO organisation (id, name, slug, created_at, updated_at, rev)
      VALUES (\(organisation.id), \(organisation.name), \(organisation.slug), \(organisation.createdAt),
              \(organisation.updatedAt), \(organisation.rev))
      """)
  }

  func update(_ organisation: Organisation) async throws {
    try await database.query(
      """
      UPDATE organisation SET name = \(organisation.name), slug = \(organisation.slug),
        updated_at = \(organisation.updatedAt), rev = \(organisation.rev)
      WHERE id = \(organisation.id)
      """)
  }

  /// It is locked, so that nobody puts its counts together meanwhile.
  func delete(_ id: UUID) async throws {
    try await database.pipeline([
      "DELETE FROM device_count WHERE organisation_id = \(id)", "DELETE FROM organisation WHERE id = \(id)",
    ])
  }

  func find(_ id: UUID) async throws -> Organisation? {
    try await database.query("SELECT \(unescaped: Self.columns) FROM organisation t WHERE id = \(id)")
      .first.map(Self.read)
  }

  /// The same, held against other writers until the transaction ends.
  func lock(_ id: UUID) async throws -> Organisation? {
    try await database.query(
      "SELECT \(unescaped: Self.columns) FROM organisation t WHERE id = \(id) FOR UPDATE"
    )
    .first.map(Self.read)
  }

  func find(slug: String) async throws -> Organisation? {
    try await database.query("SELECT \(unescaped: Self.columns) FROM organisation t WHERE slug = \(slug)")
      .first.map(Self.read)
  }

  /// Two at most: names are not unique.
  func find(name: String, in organisation: UUID?) async throws -> [Organisation] {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM organisation t
      WHERE name = \(name) AND (\(organisation)::uuid IS NULL OR id = \(organisation)) ORDER BY id LIMIT 2
      """
    ).map(Self.read)
  }

  /// What it still has besides its keys; nil for nothing.
  func users(of id: UUID) async throws -> String? {
    let limit = Int64(Names.shown + 1)
    let kinds: [(noun: String, rows: PostgresQuery)] = [
      ("board", "SELECT name FROM board WHERE organisation_id = \(id) ORDER BY id LIMIT \(limit)"),
      ("network", "SELECT name FROM network WHERE organisation_id = \(id) ORDER BY id LIMIT \(limit)"),
      (
        "sensor profile",
        "SELECT name FROM sensor_profile WHERE organisation_id = \(id) ORDER BY id LIMIT \(limit)"
      ),
      ("group", "SELECT name FROM device_group WHERE organisation_id = \(id) ORDER BY id LIMIT \(limit)"),
      ("device", "SELECT device_id FROM device WHERE organisation_id = \(id) ORDER BY id LIMIT \(limit)"),
    ]
    let rows = try await database.pipeline(kinds.map(\.rows))
    let names = try zip(kinds, rows).compactMap { kind, rows in
      Names(kind.noun, try rows.decode(String.self)).text
    }
    return names.isEmpty ? nil : names.joined(separator: ", ")
  }

  /// All, or the one.
  func list(_ only: UUID?, _ page: PageRequest) async throws -> Page<Organisation> {
    var selection = Selection("organisation", key: "id")
    if let only { selection.add("id = ", only) }
    return try await database.page(
      page, of: selection, select: Self.columns, from: "organisation t USING (id)", read: Self.read)
  }
}
