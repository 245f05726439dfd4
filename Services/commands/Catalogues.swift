import CommandsDomain
import FoundationEssentials
import JSONSchema
import Threads
import Wire

/// The catalogues of boards, each made once for a revision of its board, and their schemas compiled when they are first
/// needed.
struct Catalogues: Sendable {
  /// So much is remembered; beyond it all is forgotten. A compiled schema may take some megabytes.
  private static let (mostBoards, mostRules) = (1000, 200)

  private struct Known {
    let rev: Int64
    let catalogue: Catalogue
    var rules: [ExactText: SchemaRule] = [:]
  }

  private struct Memory {
    var boards: [UUID: Known] = [:]
    var rules = 0

    mutating func forget(_ id: UUID) { rules -= boards.removeValue(forKey: id)?.rules.count ?? 0 }

    /// What is known of that revision.
    mutating func known(_ board: BoardEntity) -> Known {
      if let known = boards[board.id], known.rev == board.rev { return known }
      forget(board.id)
      if boards.count >= Catalogues.mostBoards { self = Memory() }
      let known = Known(
        rev: board.rev,
        catalogue: Catalogue(
          board: board.commandCatalogue, timeouts: board.commandTimeouts, deviceType: board.deviceType))
      boards[board.id] = known
      return known
    }

    mutating func rule(_ type: String, _ schema: JSON, of board: BoardEntity) -> SchemaRule {
      if let rule = known(board).rules[ExactText(type)] { return rule }
      if rules >= Catalogues.mostRules { self = Memory() }
      let rule = SchemaRule(schema)
      _ = known(board)
      boards[board.id]?.rules[ExactText(type)] = rule
      rules += 1
      return rule
    }
  }

  private let memory = Locked(Memory())

  /// The commands of a board.
  func catalogue(of board: BoardEntity) -> Catalogue { memory.withLock { $0.known(board).catalogue } }

  /// What is wrong with params of a command of that board, from the root of a body that has them as `params`.
  func faults(of params: JSONObject, for entry: Catalogue.Entry, of board: BoardEntity) -> [JSONFault] {
    guard let schema = entry.paramsSchema else { return [] }
    let rule = memory.withLock { $0.rule(entry.type, schema, of: board) }
    return rule.faults(of: .object(params), at: "/params", schema: "the board's paramsSchema")
  }
}
