import ConfigDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// Large artefacts: announced, put to the object store by their client, and then made (SPEC, section 3.1).
extension ConfigService {
  /// What is asked for.
  struct UploadDraft: Sendable {
    let slot: String
    let profile: Profile
    let size: Int
    let sha256: String
    let contentType: String
  }

  /// An upload, and how its bytes are to be sent.
  struct UploadTicket: Sendable {
    let upload: Upload
    let ticket: ObjectStore.Ticket
  }

  /// Announces a large artefact.
  /// - Throws: 422 for a profile that is not there or not theirs, for more than the store takes, and for what the slot's schema
  ///   could not be held against.
  func announceUpload(
    _ draft: UploadDraft, in organisation: UUID, by author: Author, _ once: Once<UploadTicket>
  ) async throws -> UploadTicket {
    let now = Date.now.wholeMilliseconds
    let upload = Upload(
      id: .v7(at: now), organisationId: organisation, slot: draft.slot, profile: draft.profile,
      size: draft.size,
      sha256: draft.sha256, contentType: draft.contentType,
      expiresAt: now + Double(objects.limits.uploadSeconds))
    let rule = try await rule(of: draft.slot, for: draft.profile, in: organisation)
    var faults = upload.faults(hasSchema: rule != nil)
    if draft.size > objects.limits.maximumBytes {
      faults.append(JSONFault(pointer: "/size", message: "must be at most \(objects.limits.maximumBytes)"))
    }
    if !faults.isEmpty { throw Problem.unprocessable(faults) }
    let ticket = UploadTicket(upload: upload, ticket: objects.ticket(upload, at: now))
    return try await database.withTransaction { connection in
      try await once.begin(on: connection)
      try await uploads.add(upload, by: author.name, connection)
      try await once.keep(ticket, on: connection)
      return ticket
    }
  }

  /// Makes the next version of what was uploaded, if its bytes are those that were announced.
  /// - Throws: 409 while nothing has been uploaded, and if it was made before; 422 for other bytes, for what the slot's schema
  ///   does not let through, and for an upload that is not there.
  func createArtefact(
    from id: UUID, in organisation: UUID, by author: Author, _ once: Once<StoredArtefact>
  ) async throws -> StoredArtefact {
    guard let upload = try await uploads.find(id, in: organisation) else { throw Self.noUpload }
    try Self.checkOpen(upload)
    try await checkBytes(of: upload)
    let made = try await database.withTransaction { connection in
      try await once.begin(on: connection)
      // Swept or completed meanwhile.
      guard let upload = try await uploads.lock(id, connection) else { throw Self.noUpload }
      try Self.checkOpen(upload)
      let artefact = try await artefacts.create(
        organisation: organisation, slot: upload.slot, profile: upload.profile, body: .object(upload.object),
        sha256: upload.sha256, size: upload.size, contentType: upload.contentType,
        at: Date.now.wholeMilliseconds, by: author.name, connection)
      try await uploads.complete(id, as: artefact.id, connection)
      let made = StoredArtefact(artefact: artefact, body: .object(upload.object))
      try await once.keep(made, on: connection)
      try await outbox.tell([ArtefactEvents.created(artefact, by: author)], on: connection)
      return made
    }
    await tellUse()
    return made
  }

  /// Looks at what is there, whatever the store promised when it came.
  private func checkBytes(of upload: Upload) async throws {
    let rule = try await rule(of: upload.slot, for: upload.profile, in: upload.organisationId)
    let faults = upload.faults(hasSchema: rule != nil)
    if !faults.isEmpty { throw Problem.unprocessable(faults) }
    guard let facts = try await objects.look(upload.object) else {
      throw Problem.conflict("Nothing has been uploaded yet: PUT the bytes to the url of the upload first.")
    }
    guard upload.fits(size: facts.size, sha256: facts.sha256) else {
      let found = "\(facts.size) bytes with the SHA-256 \(facts.sha256)"
      throw Problem.unprocessable([JSONFault(pointer: "/uploadId", message: "holds other bytes: \(found)")])
    }
    guard let rule else { return }
    let content = try await uploadedJSON(upload.object)
    try check(content, by: rule, of: upload.slot, at: "/content")
  }

  /// - Throws: 422 for what is no JSON.
  private func uploadedJSON(_ object: ObjectKey) async throws -> JSON {
    guard let bytes = try await objects.read(object, atMost: Upload.judgedLimit) else { throw Self.noUpload }
    do throws(JSONError) { return try JSON(parsing: bytes) } catch {
      let message = "is not valid JSON: \(error.message)"
      throw Problem.unprocessable([JSONFault(pointer: "/content" + error.pointer, message: message)])
    }
  }

  /// What an artefact holds, wherever it is; nil if it is not there.
  /// - Throws: 422 for what is no JSON, or too large to be read.
  func content(of artefact: UUID, _ connection: PostgresConnection) async throws -> JSON? {
    switch try await artefacts.body(of: artefact, connection) {
    case nil: nil
    case .inline(let bytes): try JSON(parsing: bytes)
    case .object(let object): try await uploadedJSON(object)
    }
  }

  private static func checkOpen(_ upload: Upload) throws {
    guard let artefact = upload.artefactId else { return }
    throw Problem.conflict("The upload has been completed before: it is the artefact \(artefact.text).")
  }

  private static var noUpload: Problem {
    .unprocessable([
      JSONFault(pointer: "/uploadId", message: "there is no such upload: it may have expired and been swept")
    ])
  }
}

/// What nobody came back for.
extension ConfigService {
  /// For so long no other replica deletes the same objects.
  private static let lease: Double = 300
  /// An upload that began before its address expired may end after the first look.
  private static let secondLook: Double = 86_400

  /// Forgets uploads that were not completed in time.
  /// - Returns: how many.
  func sweepUploads(at now: Date, limit: Int) async throws -> Int {
    try await uploads.sweep(expiredBefore: now - Double(objects.limits.graceSeconds), at: now, limit: limit)
  }

  /// Deletes objects that nobody has any more.
  /// - Returns: how many.
  func deleteDroppedObjects(at now: Date, limit: Int) async throws -> Int {
    let dropped = try await uploads.takeDropped(at: now, for: Self.lease, limit: limit)
    var gone: [ObjectKey] = []
    for object in dropped {
      // One that cannot be deleted is tried again when its lease is over, and keeps no other back.
      do {
        try await objects.delete(object)
        gone.append(object)
      } catch is CancellationError { throw CancellationError() } catch {
        logger.warning("an object was not deleted", ["object": "\(object)", "error": "\(error)"])
      }
    }
    if !gone.isEmpty { try await uploads.deleted(gone, nextLook: now + Self.secondLook) }
    return gone.count
  }
}
