import FoundationEssentials
import RegistryDomain
import Runtime
import Wire

extension RegistryService {
  func create(_ key: APIKey, in scope: UUID?, _ once: Once<APIKey>, _ context: RequestContext) async throws
    -> APIKey
  {
    guard scope == nil || scope == key.organisationId else {
      throw Problem.unknownReference("/organisationId", "organisation")
    }
    return try await change(once) { connection in
      try await APIKeyTable(database: connection).insert(key)
      return Change(answer: key, records: key.records(.created, context))
    }
  }

  func apiKeys(in scope: UUID?, _ page: PageRequest) async throws -> Page<APIKey> {
    try await APIKeyTable(database: database).list(scope, page)
  }

  /// Revokes a key: each service refuses it within a second of being told.
  /// - Returns: whether they have been told.
  func delete(apiKey id: UUID, in scope: UUID?, _ context: RequestContext) async throws -> Bool {
    try await tell { connection in
      guard let key = try await APIKeyTable(database: connection).delete(id, in: scope) else {
        throw Problem.notFound("API key")
      }
      return Change(answer: (), records: key.records(.deleted, context))
    }.isTold
  }
}
