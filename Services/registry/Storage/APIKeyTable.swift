import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

/// API keys in the database; it is also where the registry's own requests are authenticated.
struct APIKeyTable: KeyStore, Sendable {
  let database: any Querying

  private static let columns =
    "t.id, t.organisation_id, t.name, t.role, t.hash, t.created_at, t.expires_at, t.last_used_at"

  private static func read(_ row: PostgresRow) throws -> APIKey {
    let (id, organisation, name, role, hash, createdAt, expiresAt, lastUsedAt) = try row.decode(
      (UUID, UUID, String, String, String, Date, Date?, Date?).self)
    guard let role = Role(rawValue: role) else { throw row["role"].fault("holds an unknown role") }
    return APIKey(
      id: id, organisationId: organisation, name: name, role: role, hash: hash, createdAt: createdAt,
      expiresAt: expiresAt, lastUsedAt: lastUsedAt)
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

  /// Keeps when keys were last used; older news changes nothing, and a key that is gone stays gone.
  func used(_ uses: [UUID: Date]) async throws {
    guard !uses.isEmpty else { return }
    let sorted = uses.sorted { $0.key.text < $1.key.text }
    // Locked in order: two replicas may tell of the same keys.
    try await database.query(
      """
      UPDATE api_key SET last_used_at = late.at FROM (
        SELECT k.id, u.at FROM api_key k
        JOIN unnest(\(sorted.map(\.key))::uuid[], \(sorted.map(\.value))::timestamptz[]) AS u (id, at) USING (id)
        WHERE k.last_used_at IS NULL OR k.last_used_at < u.at
        ORDER BY k.id FOR UPDATE OF k
      ) late WHERE api_key.id = late.id
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
    var selection = Selection("api_key", key: "id")
    if let organisation { selection.add("organisation_id = ", organisation) }
    return try await database.page(
      page, of: selection, select: Self.columns, from: "api_key t USING (id)", read: Self.read)
  }
}
