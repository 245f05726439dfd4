import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

extension RegistryService {
  func create(_ board: Board, in scope: UUID?, _ once: Once<Board>, _ context: RequestContext) async throws
    -> Board
  {
    guard scope == nil || scope == board.organisationId else {
      throw Problem.unknownReference("/organisationId", "organisation")
    }
    return try await change(once) { connection in
      try await BoardTable(database: connection).insert(board)
      return Change(answer: board, records: board.records(.created, context))
    }
  }

  func boards(in scope: UUID?, includePublic: Bool, _ page: PageRequest) async throws -> Page<Board> {
    try await BoardTable(database: database).list(scope, includePublic: includePublic, page)
  }

  /// One of the organisation's boards, or a public one.
  func board(_ id: UUID, in scope: UUID?) async throws -> Board {
    guard let board = try await BoardTable(database: database).find(id, for: scope) else {
      throw Problem.notFound("board")
    }
    return board
  }

  func update(
    board id: UUID, in scope: UUID?, by body: JSON, _ expected: Precondition, _ context: RequestContext
  ) async throws -> Board {
    try await change { connection in
      let table = BoardTable(database: connection)
      let current = try await own(id, in: scope, table)
      try expected.check(Precondition.tag(rev: current.rev))
      let changed = try Problem.unlessFitting { try current.changed(by: body, at: .now.wholeMilliseconds) }
      if current.profile.isPublic, !changed.profile.isPublic, try await table.isUsedByOthers(current) {
        throw Problem.taken("/public", "Devices of other organisations use this board.")
      }
      try await table.update(changed)
      let (before, after) = (current.profile.uniqueNames, changed.profile.uniqueNames)
      try await table.mark(Array(before.subtracting(after)), unique: false, of: id)
      try await table.mark(Array(after.subtracting(before)), unique: true, of: id)
      return Change(answer: changed, records: changed.records(.updated, context))
    }
  }

  func delete(board id: UUID, in scope: UUID?, _ expected: Precondition, _ context: RequestContext)
    async throws
  {
    try await remove(inUse: "Devices use this board: delete them first.") { connection in
      let table = BoardTable(database: connection)
      let current = try await own(id, in: scope, table)
      try expected.check(Precondition.tag(rev: current.rev))
      try await table.delete(id)
      return current.records(.deleted, context)
    }
  }

  /// A board that the caller may change; held until the transaction ends, so that no device is made meanwhile.
  private func own(_ id: UUID, in scope: UUID?, _ table: BoardTable) async throws -> Board {
    guard let board = try await table.find(id, for: scope, hold: .update) else {
      throw Problem.notFound("board")
    }
    guard scope == nil || scope == board.organisationId else {
      throw Problem.forbidden("a key of the organisation that the board belongs to")
    }
    return board
  }
}
