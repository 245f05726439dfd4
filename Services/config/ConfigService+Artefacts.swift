import ConfigDomain
import Crypto
import FoundationEssentials
import Postgres
import Runtime
import Wire

extension ConfigService {
  /// What is asked for.
  struct ArtefactDraft: Sendable {
    let slot: String
    let profile: Profile
    let content: JSON
  }

  /// Makes the next version of a configuration.
  /// - Throws: 413 for more than may be inline; 422 for a profile that is not there or not theirs.
  func createArtefact(
    _ draft: ArtefactDraft, in organisation: UUID, by author: Author,
    _ once: Once<(artefact: Artefact, content: [UInt8])>
  ) async throws -> (artefact: Artefact, content: [UInt8]) {
    try await checkProfile(draft.profile, in: organisation)
    let content = draft.content.canonicalBytes
    guard content.count <= Artefact.inlineLimit else {
      let limit =
        "The content is \(content.count) bytes in canonical form; inline it may be \(Artefact.inlineLimit)."
      throw Problem(413, limit + " Uploads of larger ones are not available yet.")
    }
    let made = try await database.withTransaction { connection in
      try await once.begin(on: connection)
      let artefact = try await artefacts.create(
        organisation: organisation, slot: draft.slot, profile: draft.profile, content: content,
        sha256: SHA256.hash(data: content).hex, contentType: "application/json",
        at: Date.now.wholeMilliseconds, by: author.name, connection)
      try await once.keep((artefact, content), on: connection)
      return (artefact: artefact, content: content)
    }
    return made
  }

  /// - Throws: 404.
  func artefact(_ id: UUID, in organisation: UUID?) async throws -> (Artefact, content: [UInt8]) {
    guard let found = try await artefacts.find(id, in: organisation) else {
      throw Problem.notFound("artefact")
    }
    return found
  }

  func artefacts(_ filter: ArtefactStore.Filter, _ page: Keyset) async throws -> [Artefact] {
    try await artefacts.list(filter, page)
  }

  /// - Throws: 404, or 409 naming the bindings while it is bound.
  func deleteArtefact(_ id: UUID, in organisation: UUID?) async throws {
    do {
      guard try await artefacts.delete(id, in: organisation) else { throw Problem.notFound("artefact") }
    } catch let error as PostgresError where error.code == "23503" {
      let named = 10
      let bound = try await bindings.list(.init(artefactId: id), Keyset(limit: named + 1)).map(\.id.text)
      let names = bound.prefix(named).joined(separator: ", ") + (bound.count > named ? " and more" : "")
      throw Problem.conflict("The artefact is bound: remove these bindings first: \(names).")
    }
  }

  private func checkProfile(_ profile: Profile, in organisation: UUID) async throws {
    switch profile.type {
    case .device:
      if let board = try await directory.board(profile.id),
        board.isPublic || board.organisationId == organisation
      {
        return
      }
      throw Problem.unprocessable([JSONFault(pointer: "/profile/id", message: "there is no such board")])
    case .sensor:
      let message = "SENSOR_PROFILE is not available yet; DEVICE_PROFILE is"
      throw Problem.unprocessable([JSONFault(pointer: "/profile/type", message: message)])
    }
  }
}
