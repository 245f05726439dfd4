import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

/// API keys in the database; it is also where the registry's own requests are authenticated.
struct APIKeyTable: KeyStore, Sendable {
  let database: any Querying

  private static let columns = "t.id, t.organisation_id, t.name, t.role, t.hash, t.created_at, t.expires_at"

  private static func read(_ row: PostgresRow) throws -> APIKey {
    let (id, organisation, name, role, hash, createdAt, expiresAt) = try row.decode(
      (UUID, UUID, String, String, String, Date, Date?).self)
    guard let role = Role(rawValue: role) else { throw row["role"].fault("holds an unknown role") }
    return APIKey(
      id: id, organisationId: organisation, name: name, role: role, hash: hash, createdAt: createdAt,
      expiresAt: expiresAt)
  }

  func key(hash: String) async throws -> StoredKey? {
    try await database.query("SELECT \(unescaped: Self.columns) FROM api_key t WHERE hash = \(hash)")
      .first.map(Self.read)
      .map { key in
        StoredKey(
          principal: .key(id: key.id, organisationId: key.organisationId, name: key.name, role: key.role),
          expiresAt: key.expiresAt)
      }
  }

  func insert(_ key: APIKey) async throws {
    try await database.query(
      """
      INSERT INTO api_key (id, organisation_id, name, role, hash, created_at, expires_at)
      VALUES (\(key.id), \(key.organisationId), \(key.name), \(key.role.rawValue), \(key.hash), \(key.createdAt),
              \(key.expiresAt))
      """)
  }

  /// Removes a key, if it is of that organisation (of any, for nil).
  func delete(_ id: UUID, in organisation: UUID?) async throws -> APIKey? {
    try await database.query(
      """
      DELETE FROM api_key t WHERE id = \(id) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
      RETURNING \(unescaped: Self.columns)
      """
    ).first.map(Self.read)
  }

  /// Removes the keys of an organisation that goes.
  func deleteAll(of organisation: UUID) async throws -> [APIKey] {
    try await database.query(
      "DELETE FROM api_key t WHERE organisation_id = \(organisation) RETURNING \(unescaped: Self.columns)"
    ).map(Self.read)
  }

  func list(_ organisation: UUID?, _ page: PageRequest) async throws -> Page<APIKey> {
    var conditions = Conditions()
    if let organisation { conditions.add("t.organisation_id = ", organisation) }
    return try await database.page(
      page, select: Self.columns, from: "api_key t", where: conditions, read: Self.read)
  }
}
