import ConfigDomain
import FoundationEssentials
import Postgres
import Wire

/// The tables of artefacts.
struct ArtefactStore: Sendable {
  /// What a list of artefacts is narrowed to.
  struct Filter: Sendable {
    /// Nil for all of them.
    var organisation: UUID?
    var slot: String?
    var profileId: UUID?
  }

  let database: PostgresClient

  /// Makes the next version. The counter's row stays locked until the commit, so that concurrent creates, of any
  /// replica, take one version after the other.
  func create(
    organisation: UUID, slot: String, profile: Profile, content: [UInt8], sha256: String, contentType: String,
    at now: Date, by author: String, _ connection: PostgresConnection
  ) async throws -> Artefact {
    let rows = try await connection.query(
      """
      WITH counted AS (
        INSERT INTO artefact_counter AS c (organisation_id, profile_type, profile_id, slot, last_version)
        VALUES (\(organisation), \(profile.type.rawValue), \(profile.id), \(slot), 1)
        ON CONFLICT (organisation_id, profile_type, profile_id, slot)
          DO UPDATE SET last_version = c.last_version + 1
        RETURNING *
      )
      INSERT INTO artefact (id, organisation_id, profile_type, profile_id, slot, version,
                            sha256, size, content_type, content, created_at, created_by)
      SELECT \(UUID.v7(at: now)), organisation_id, profile_type, profile_id, slot, last_version,
             \(sha256), \(content.count), \(contentType), \(String(decoding: content, as: UTF8.self)),
             \(now), \(author)
      FROM counted
      RETURNING \(unescaped: Self.columns)
      """)
    return try Self.artefact(rows[0])
  }

  /// An artefact and its canonical bytes.
  /// - Parameter organisation: nil for any.
  func find(_ id: UUID, in organisation: UUID?) async throws -> (Artefact, content: [UInt8])? {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns), content FROM artefact
      WHERE id = \(id) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
      """
    ).first.map { (try Self.artefact($0), Array(try $0["content"].decode(String.self).utf8)) }
  }

  /// The same inside a transaction, and it cannot be deleted before that ends.
  func hold(_ id: UUID, in organisation: UUID, _ connection: PostgresConnection) async throws -> Artefact? {
    try await connection.query(
      """
      SELECT \(unescaped: Self.columns) FROM artefact
      WHERE id = \(id) AND organisation_id = \(organisation) FOR KEY SHARE
      """
    ).first.map(Self.artefact)
  }

  func list(_ filter: Filter, _ page: Keyset) async throws -> [Artefact] {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM artefact
      WHERE (\(filter.organisation)::uuid IS NULL OR organisation_id = \(filter.organisation))
        AND (\(filter.slot)::text IS NULL OR slot = \(filter.slot))
        AND (\(filter.profileId)::uuid IS NULL OR profile_id = \(filter.profileId))
        AND (\(page.after)::uuid IS NULL OR id > \(page.after))
      ORDER BY id LIMIT \(page.limit)
      """
    ).map(Self.artefact)
  }

  /// The canonical bytes of these artefacts.
  func contents(_ ids: [UUID], _ connection: PostgresConnection) async throws -> [UUID: [UInt8]] {
    let rows = try await connection.query("SELECT id, content FROM artefact WHERE id = ANY(\(ids)::uuid[])")
    return try rows.reduce(into: [:]) { contents, row in
      let (id, content) = try row.decode((UUID, String).self)
      contents[id] = Array(content.utf8)
    }
  }

  /// - Returns: false if there is none.
  /// - Throws: the violation of a foreign key while it is bound.
  func delete(_ id: UUID, in organisation: UUID?) async throws -> Bool {
    try await database.query(
      """
      DELETE FROM artefact
      WHERE id = \(id) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
      """
    ).affectedRows > 0
  }

  private static let columns =
    "id, organisation_id, slot, profile_type, profile_id, version, sha256, size, content_type, created_at, created_by"

  private static func artefact(_ row: PostgresRow) throws -> Artefact {
    func value<T: PostgresDecodable>(_ column: String) throws -> T { try row[column].decode(T.self) }
    return Artefact(
      id: try value("id"), organisationId: try value("organisation_id"), slot: try value("slot"),
      profile: Profile(type: try value("profile_type"), id: try value("profile_id")),
      version: try value("version"),
      sha256: try value("sha256"), size: try value("size"), contentType: try value("content_type"),
      createdAt: try value("created_at"), createdBy: try value("created_by"))
  }
}

extension Profile.Kind: PostgresCodable {}
