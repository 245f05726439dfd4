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
    var profileType: Profile.Kind?
    var profileId: UUID?
    var sha256: String?
    var version: Int?
  }

  let database: PostgresClient

  /// Makes the next version. The counter's row stays locked until the commit, so that concurrent creates, of any
  /// replica, take one version after the other.
  func create(
    organisation: UUID, slot: String, profile: Profile, body: ArtefactBody, sha256: String, size: Int,
    contentType: String, at now: Date, by author: String, _ connection: PostgresConnection
  ) async throws -> Artefact {
    let (content, object) = Self.columns(of: body)
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
                            sha256, size, content_type, content, object_key, created_at, created_by)
      SELECT \(UUID.v7(at: now)), organisation_id, profile_type, profile_id, slot, last_version,
             \(sha256), \(size), \(contentType), \(content), \(object), \(now), \(author)
      FROM counted
      RETURNING \(unescaped: Self.columns)
      """)
    return try Self.artefact(rows[0])
  }

  /// An artefact and where its bytes are.
  /// - Parameter organisation: nil for any.
  func find(_ id: UUID, in organisation: UUID?) async throws -> StoredArtefact? {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns), content, object_key FROM artefact
      WHERE id = \(id) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
      """
    ).first.map(Self.stored)
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
        AND (\(filter.profileType)::text IS NULL OR profile_type = \(filter.profileType))
        AND (\(filter.sha256)::text IS NULL OR sha256 = \(filter.sha256))
        AND (\(filter.version)::bigint IS NULL OR version = \(filter.version))
        AND (\(filter.profileId)::uuid IS NULL OR profile_id = \(filter.profileId))
        AND (\(page.after)::uuid IS NULL OR id > \(page.after))
      ORDER BY id LIMIT \(page.limit)
      """
    ).map(Self.artefact)
  }

  /// What documents hold of these artefacts.
  func contents(
    _ ids: [UUID], _ connection: PostgresConnection
  ) async throws -> [UUID: DeviceConfiguration.Content] {
    let rows = try await connection.query(
      "SELECT id, size, content FROM artefact WHERE id = ANY(\(ids)::uuid[])")
    return try rows.reduce(into: [:]) { contents, row in
      let (id, size, content) = try row.decode((UUID, Int, String?).self)
      contents[id] = try content.map { .inline(try JSON(parsing: Array($0.utf8))) } ?? .large(size: size)
    }
  }

  /// Where the bytes of one are, as a transaction sees it.
  func body(of id: UUID, _ connection: PostgresConnection) async throws -> ArtefactBody? {
    try await connection.query(
      "SELECT \(unescaped: Self.columns), content, object_key FROM artefact WHERE id = \(id)"
    ).first.map { try Self.stored($0).body }
  }

  /// What a device's document has.
  struct Desired: Sendable {
    let body: ArtefactBody
    let contentType: String
  }

  /// Of hashes that devices name, those that are in their own documents.
  func desired(
    _ questions: [ArtefactRequest.Question], _ connection: PostgresConnection
  ) async throws -> [ArtefactRequest.Question: Desired] {
    let rows = try await connection.query(
      """
      SELECT q.device_id, q.sha256, a.object_key, a.content_type
      FROM unnest(\(questions.map(\.deviceId))::text[], \(questions.map(\.sha256))::text[]) AS q (device_id, sha256)
      JOIN device_configuration c ON c.device_id = q.device_id
      JOIN desired_slot s ON s.device_id = q.device_id
      JOIN artefact a ON a.id = s.artefact_id AND a.sha256 = q.sha256
      WHERE EXISTS (SELECT FROM directory_device d WHERE (d.device_id, d.id) = (c.device_id, c.record_id))
      """)
    return try rows.reduce(into: [:]) { found, row in
      let (deviceId, sha256, object, contentType) = try row.decode((String, String, String?, String).self)
      let question = ArtefactRequest.Question(deviceId: deviceId, sha256: sha256)
      // The same bytes may be there both ways: an address is what was asked for.
      if case .object = found[question]?.body { return }
      let body = object.map { ArtefactBody.object(ObjectKey(stored: $0)) } ?? .inline([])
      found[question] = Desired(body: body, contentType: contentType)
    }
  }

  /// - Returns: what it was; nil if there is none.
  /// - Throws: the violation of a foreign key while it is bound.
  func delete(
    _ id: UUID, in organisation: UUID?, _ connection: PostgresConnection
  ) async throws -> StoredArtefact? {
    try await connection.query(
      """
      DELETE FROM artefact
      WHERE id = \(id) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation))
      RETURNING \(unescaped: Self.columns), content, object_key
      """
    ).first.map(Self.stored)
  }

  private static let columns =
    "id, organisation_id, slot, profile_type, profile_id, version, sha256, size, content_type, created_at, created_by"

  private static func columns(of body: ArtefactBody) -> (content: String?, object: String?) {
    switch body {
    case .inline(let bytes): (String(decoding: bytes, as: UTF8.self), nil)
    case .object(let object): (nil, object.text)
    }
  }

  private static func stored(_ row: PostgresRow) throws -> StoredArtefact {
    let content = try row["content"].decode(String?.self)
    let object = try row["object_key"].decode(String?.self)
    return StoredArtefact(
      artefact: try artefact(row),
      body: object.map { .object(ObjectKey(stored: $0)) } ?? .inline(Array((content ?? "").utf8)))
  }

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

/// An artefact and where its bytes are.
struct StoredArtefact: Sendable {
  let artefact: Artefact
  let body: ArtefactBody
}

extension Profile.Kind: PostgresCodable {}
