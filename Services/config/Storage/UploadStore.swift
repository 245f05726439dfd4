import ConfigDomain
import FoundationEssentials
import Postgres
import Wire

/// The tables of uploads and of objects that nobody has any more.
///
/// Locks: an upload before its artefact's counter (`ArtefactStore.create`); the sweeps lock what they take and pass over what
/// others have.
struct UploadStore: Sendable {
  let database: PostgresClient

  func add(_ upload: Upload, by author: String, _ connection: PostgresConnection) async throws {
    try await connection.query(
      """
      INSERT INTO artefact_upload (id, organisation_id, profile_type, profile_id, slot, size, sha256, content_type,
                                   expires_at, created_by)
      VALUES (\(upload.id), \(upload.organisationId), \(upload.profile.type.rawValue), \(upload.profile.id),
              \(upload.slot), \(upload.size), \(upload.sha256), \(upload.contentType), \(upload.expiresAt), \(author))
      """)
  }

  func find(_ id: UUID, in organisation: UUID) async throws -> Upload? {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM artefact_upload
      WHERE id = \(id) AND organisation_id = \(organisation)
      """
    ).first.map(Self.upload)
  }

  /// The same as it is now, and it stays so until the transaction ends.
  func lock(_ id: UUID, _ connection: PostgresConnection) async throws -> Upload? {
    try await connection.query(
      "SELECT \(unescaped: Self.columns) FROM artefact_upload WHERE id = \(id) FOR UPDATE"
    ).first.map(Self.upload)
  }

  /// Notes what it has become.
  func complete(_ id: UUID, as artefact: UUID, _ connection: PostgresConnection) async throws {
    try await connection.query("UPDATE artefact_upload SET artefact_id = \(artefact) WHERE id = \(id)")
  }

  /// An object that nobody has any more goes with the next sweep.
  func drop(_ object: ObjectKey, at now: Date, _ connection: PostgresConnection) async throws {
    try await connection.query(
      "INSERT INTO dropped_object (object_key, due_at) VALUES (\(object.text), \(now)) ON CONFLICT DO NOTHING"
    )
  }

  /// Forgets uploads that expired before then; the objects of those that were not completed are dropped.
  /// - Returns: how many.
  func sweep(expiredBefore time: Date, at now: Date, limit: Int) async throws -> Int {
    let rows = try await database.query(
      """
      WITH stale AS (
        DELETE FROM artefact_upload WHERE id IN (
          SELECT id FROM artefact_upload WHERE expires_at < \(time) ORDER BY expires_at LIMIT \(limit)
          FOR UPDATE SKIP LOCKED)
        RETURNING organisation_id, id, artefact_id
      ), dropped AS (
        INSERT INTO dropped_object (object_key, due_at)
        SELECT organisation_id || '/' || id, \(now) FROM stale WHERE artefact_id IS NULL
        ON CONFLICT DO NOTHING
      )
      SELECT count(*) FROM stale
      """)
    return try rows.first?.decode(Int.self) ?? 0
  }

  /// Takes some of the objects that are to be deleted: for so long no other replica takes them.
  func takeDropped(at now: Date, for seconds: Double, limit: Int) async throws -> [ObjectKey] {
    try await database.query(
      """
      UPDATE dropped_object SET due_at = \(now + seconds) WHERE object_key IN (
        SELECT object_key FROM dropped_object WHERE due_at <= \(now) ORDER BY due_at LIMIT \(limit)
        FOR UPDATE SKIP LOCKED)
      RETURNING object_key
      """
    ).decode(String.self).map { ObjectKey(stored: $0) }
  }

  /// They have been deleted: once more at that time, and then they are forgotten.
  func deleted(_ objects: [ObjectKey], nextLook: Date) async throws {
    let keys = objects.map(\.text)
    try await database.pipeline([
      "DELETE FROM dropped_object WHERE object_key = ANY(\(keys)::text[]) AND looks > 0",
      "UPDATE dropped_object SET (due_at, looks) = (\(nextLook), 1) WHERE object_key = ANY(\(keys)::text[])",
    ])
  }

  private static let columns =
    "id, organisation_id, slot, profile_type, profile_id, size, sha256, content_type, expires_at, artefact_id"

  private static func upload(_ row: PostgresRow) throws -> Upload {
    let (id, organisation, slot, type, profile, size, sha256, contentType, expiresAt, artefact) =
      try row.decode(
        (UUID, UUID, String, Profile.Kind, UUID, Int, String, String, Date, UUID?).self)
    return Upload(
      id: id, organisationId: organisation, slot: slot, profile: Profile(type: type, id: profile), size: size,
      sha256: sha256, contentType: contentType, expiresAt: expiresAt, artefactId: artefact)
  }
}
