import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

// What is kept beside devices, all in the same way: boards, networks, sensor profiles, groups.
extension RegistryService {
  func create<Table: OwnedTable>(
    _ object: Table.Object, in _: Table.Type, for scope: UUID?, _ once: Once<Table.Object>,
    _ context: RequestContext
  ) async throws -> Table.Object {
    try Self.check(object, isIn: scope)
    return try await change(once) { connection in
      try await Table(database: connection).insert(object)
      return Change(answer: object, records: object.records(.created, context))
    }
  }

  func list<Table: OwnedTable>(
    _: Table.Type, in scope: UUID?, includePublic: Bool, _ page: PageRequest
  ) async throws -> Page<Table.Object> {
    try await Table(database: database).list(scope, includePublic: includePublic, page)
  }

  /// One of the organisation's own, or a public one.
  func find<Table: OwnedTable>(_ id: UUID, in _: Table.Type, for scope: UUID?) async throws -> Table.Object {
    guard let object = try await Table(database: database).find(id, for: scope) else {
      throw Problem.notFound(Table.Object.noun)
    }
    return object
  }

  func update<Table: OwnedTable>(
    _ id: UUID, in _: Table.Type, for scope: UUID?, by body: JSON, _ expected: Precondition,
    _ context: RequestContext
  ) async throws -> Table.Object {
    try await change { connection in
      let table = Table(database: connection)
      let current = try await own(id, for: scope, table)
      try expected.check(Precondition.tag(current.id, rev: current.rev))
      let changed = try Problem.unlessFitting { try current.changed(by: body, at: .now.wholeMilliseconds) }
      guard changed.rev != current.rev else { return Change(answer: current, records: []) }
      try await table.update(changed, from: current)
      return Change(answer: changed, records: changed.records(.updated, context, from: current))
    }
  }

  func delete<Table: OwnedTable>(
    _ id: UUID, in _: Table.Type, for scope: UUID?, _ expected: Precondition, _ context: RequestContext
  ) async throws {
    try await remove(inUse: "Something uses this \(Table.Object.noun).") { connection in
      let table = Table(database: connection)
      let current = try await own(id, for: scope, table)
      try expected.check(Precondition.tag(current.id, rev: current.rev))
      if let users = try await table.users(of: current, seenBy: scope) {
        throw Problem.inUse(Table.Object.noun, by: users)
      }
      try await refuseUsed(current, seenBy: scope, connection)
      try await table.delete(id)
      return current.records(.deleted, context)
    }
  }

  /// - Throws: 409 while the config service has something that uses it.
  func refuseUsed(_ object: some Owned, seenBy scope: UUID?, _ connection: PostgresConnection) async throws {
    let users = try await ConfigUserTable(database: connection).names(using: object.id, seenBy: scope)
    if let users { throw Problem.inUse(type(of: object).noun, by: users) }
  }

  /// One that the caller may change; held until the transaction ends, so that nobody begins to use it meanwhile.
  func own<Table: OwnedTable>(_ id: UUID, for scope: UUID?, _ table: Table) async throws -> Table.Object {
    guard let object = try await table.find(id, for: scope, hold: .update) else {
      throw Problem.notFound(Table.Object.noun)
    }
    guard scope == nil || scope == object.organisationId else {
      let noun = Table.Object.noun
      throw Problem.forbidden("a key of the organisation that the \(noun) belongs to")
    }
    return object
  }

  /// - Throws: 404 for an organisation that is not the caller's.
  static func check(_ object: some Aggregate, isIn scope: UUID?) throws {
    guard scope == nil || scope == object.organisationId else {
      throw Problem.unknownReference("/organisationId", "organisation")
    }
  }
}

extension Problem {
  /// 409 for what cannot be deleted.
  static func inUse(_ noun: String, by users: String) -> Problem {
    .conflict("The \(noun) is in use by \(users).")
  }
}
