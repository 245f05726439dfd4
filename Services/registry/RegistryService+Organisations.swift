import FoundationEssentials
import RegistryDomain
import Runtime
import Wire

extension RegistryService {
  func create(_ organisation: Organisation, _ once: Once<Organisation>, _ context: RequestContext)
    async throws -> Organisation
  {
    try await change(once) { connection in
      try await OrganisationTable(database: connection).insert(organisation)
      return Change(answer: organisation, records: organisation.records(.created, context))
    }
  }

  func organisations(in scope: UUID?, _ page: PageRequest) async throws -> Page<Organisation> {
    try await OrganisationTable(database: database).list(scope, page)
  }

  func organisation(_ id: UUID, in scope: UUID?) async throws -> Organisation {
    try visible(try await OrganisationTable(database: database).find(id), in: scope)
  }

  func organisation(slug: String, in scope: UUID?) async throws -> Organisation {
    try visible(try await OrganisationTable(database: database).find(slug: slug), in: scope)
  }

  /// - Throws: 409 if several have that name.
  func organisation(name: String, in scope: UUID?) async throws -> Organisation {
    let found = try await OrganisationTable(database: database).find(name: name, in: scope)
    if found.count > 1 {
      let slugs = found.map(\.slug).joined(separator: ", ")
      throw Problem.conflict(
        "Several organisations have the name \(name), such as \(slugs): look one up by its slug.")
    }
    return try visible(found.first, in: scope)
  }

  func update(
    organisation id: UUID, in scope: UUID?, by body: JSON, _ expected: Precondition, _ context: RequestContext
  ) async throws -> Organisation {
    try await change { connection in
      let table = OrganisationTable(database: connection)
      let current = try visible(try await table.lock(id), in: scope)
      try expected.check(Precondition.tag(current.id, rev: current.rev))
      let changed = try Problem.unlessFitting { try current.changed(by: body, at: .now.wholeMilliseconds) }
      guard changed.rev != current.rev else { return Change(answer: current, records: []) }
      try await table.update(changed)
      return Change(answer: changed, records: changed.records(.updated, context, from: current))
    }
  }

  /// Removes an organisation and its keys.
  /// - Returns: whether the other services have been told.
  func delete(
    organisation id: UUID, in scope: UUID?, _ expected: Precondition, _ context: RequestContext
  ) async throws -> Bool {
    try await remove(inUse: "The organisation still has something: delete it first.") { connection in
      let table = OrganisationTable(database: connection)
      let current = try visible(try await table.lock(id), in: scope)
      try expected.check(Precondition.tag(current.id, rev: current.rev))
      if let users = try await table.users(of: id) { throw Problem.inUse("organisation", by: users) }
      if let users = try await ConfigUserTable(database: connection).names(of: id) {
        throw Problem.inUse("organisation", by: users)
      }
      let keys = try await APIKeyTable(database: connection).deleteAll(of: id)
      try await table.delete(id)
      return keys.flatMap { $0.records(.deleted, context) } + current.records(.deleted, context)
    }
  }

  private func visible(_ organisation: Organisation?, in scope: UUID?) throws -> Organisation {
    guard let organisation, scope == nil || scope == organisation.id else {
      throw Problem.notFound("organisation")
    }
    return organisation
  }
}

extension Problem {
  /// 422 with every fault that `body` finds.
  static func unlessFitting<T>(_ body: () throws -> T) throws -> T {
    do { return try body() } catch let error as JSONFaults { throw unprocessable(error.faults) }
  }
}
