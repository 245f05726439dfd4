import ConfigDomain
import Crypto
import FoundationEssentials
import JSONSchema
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
  /// - Throws: 413 for more than may be inline; 422 for a profile that is not there or not theirs, and for what its schema
  ///   does not let through.
  func createArtefact(
    _ draft: ArtefactDraft, in organisation: UUID, by author: Author,
    _ once: Once<StoredArtefact>
  ) async throws -> StoredArtefact {
    let numbers = draft.content.uncanonicalNumbers(at: "/content")
    if !numbers.isEmpty { throw Problem.unprocessable(numbers) }
    let rule = try await rule(of: draft.slot, for: draft.profile, in: organisation)
    let content = draft.content.canonicalBytes
    guard content.count <= Artefact.inlineLimit else {
      let limit =
        "The content is \(content.count) bytes in canonical form; inline it may be \(Artefact.inlineLimit)."
      throw Problem(413, limit + " Upload it: POST /api/v1/config-artefacts/upload-url.")
    }
    // What is judged is what is kept: in the canonical form numbers have fewer digits.
    if let rule { try check(JSON(parsing: content), by: rule, of: draft.slot, at: "/content") }
    let made = try await database.withTransaction { connection in
      try await once.begin(on: connection)
      let artefact = try await artefacts.create(
        organisation: organisation, slot: draft.slot, profile: draft.profile, body: .inline(content),
        sha256: SHA256.hash(data: content).hex, size: content.count, contentType: "application/json",
        at: Date.now.wholeMilliseconds, by: author.name, connection)
      let made = StoredArtefact(artefact: artefact, body: .inline(content))
      try await once.keep(made, on: connection)
      try await outbox.tell([ArtefactEvents.created(artefact, by: author)], on: connection)
      return made
    }
    await tellUse()
    return made
  }

  /// Before the first use of a target is answered, Kafka has it: the registry refuses to delete what it can hear is in use. While
  /// Kafka is away the answer does not wait for it.
  func tellUse() async { _ = try? await outbox.publishedAll() }

  /// - Throws: 404.
  func artefact(_ id: UUID, in organisation: UUID?) async throws -> StoredArtefact {
    guard let found = try await artefacts.find(id, in: organisation) else {
      throw Problem.notFound("artefact")
    }
    return found
  }

  func artefacts(_ filter: ArtefactStore.Filter, _ page: Keyset) async throws -> [Artefact] {
    try await artefacts.list(filter, page)
  }

  /// Two versions of one configuration, and what leads from one to the other.
  struct ArtefactComparison: Sendable {
    let from: Artefact
    let to: Artefact
    /// Nil where the contents are not looked into: not JSON, or large.
    let changes: [ArtefactDiff.Change]?
  }

  /// - Parameter base: what it is compared with.
  /// - Throws: 404 if either is not there; 422 if they are not versions of one configuration.
  func compare(_ id: UUID, against base: UUID, in organisation: UUID?) async throws -> ArtefactComparison {
    let to = try await artefact(id, in: organisation)
    let from = try await artefact(base, in: to.artefact.organisationId)
    guard (from.artefact.slot, from.artefact.profile) == (to.artefact.slot, to.artefact.profile) else {
      throw Problem(422, "The two are not versions of one configuration: slot and profile must be the same.")
    }
    var changes: [ArtefactDiff.Change]?
    if let before = try await json(of: from), let after = try await json(of: to) {
      changes = ArtefactDiff(from: before, to: after).changes
    }
    return ArtefactComparison(from: from.artefact, to: to.artefact, changes: changes)
  }

  /// Its content as a JSON value in canonical form; nil for what is no JSON, or too large to be read whole.
  private func json(of stored: StoredArtefact) async throws -> JSON? {
    switch stored.body {
    case .inline(let bytes): return try JSON(parsing: bytes)
    case .object(let object):
      guard ContentType.isJSON(stored.artefact.contentType), stored.artefact.size <= Upload.judgedLimit,
        let bytes = try await objects.read(object, atMost: Upload.judgedLimit)
      else { return nil }
      return (try? JSON(parsing: bytes)).flatMap { try? JSON(parsing: $0.canonicalBytes) }
    }
  }

  /// Where the content of an artefact is to be had.
  enum ContentPlace: Sendable {
    case bytes([UInt8])
    case address(String)
  }

  /// - Throws: 404.
  func content(_ id: UUID, in organisation: UUID?) async throws -> (Artefact, ContentPlace) {
    let stored = try await artefact(id, in: organisation)
    switch stored.body {
    case .inline(let bytes): return (stored.artefact, .bytes(bytes))
    case .object(let object):
      let address = objects.download(object, as: stored.artefact.contentType, at: .now)
      return (stored.artefact, .address(address.url))
    }
  }

  /// - Throws: 404, or 409 naming the bindings while it is bound.
  func deleteArtefact(_ id: UUID, in organisation: UUID?, by author: Author) async throws {
    do {
      try await database.withTransaction { connection in
        guard let deleted = try await artefacts.delete(id, in: organisation, connection) else {
          throw Problem.notFound("artefact")
        }
        let now = Date.now.wholeMilliseconds
        if case .object(let object) = deleted.body { try await uploads.drop(object, at: now, connection) }
        let event = ArtefactEvents.deleted(deleted.artefact, at: now, by: author)
        try await outbox.tell([event], on: connection)
      }
    } catch let error as PostgresError where error.code == "23503" {
      throw try await isInUse(id)
    }
  }

  private func isInUse(_ id: UUID) async throws -> Problem {
    let named = 10
    let bound = try await bindings.list(.init(artefactId: id), Keyset(limit: named + 1)).map(\.id.text)
    guard !bound.isEmpty else {
      return .conflict("The artefact is still in documents of devices, or something else refers to it.")
    }
    let names = bound.prefix(named).joined(separator: ", ") + (bound.count > named ? " and more" : "")
    return .conflict("The artefact is bound: remove these bindings first: \(names).")
  }

  /// What the content of a slot has to fit.
  func rule(
    of slot: String, for profile: Profile, in organisation: UUID
  ) async throws -> SchemaRule? {
    do { return try await schemas.rule(of: slot, for: profile, in: organisation) } catch let faults
      as JSONFaults
    {
      throw Problem.unprocessable(faults.faults)
    }
  }

  func check(_ content: JSON, by rule: SchemaRule, of slot: String, at pointer: String) throws {
    let faults = rule.faults(of: content, at: pointer, schema: "the profile's schema of the slot \(slot)")
    if !faults.isEmpty { throw Problem.unprocessable(faults) }
  }
}
