import FoundationEssentials
import Postgres
import Wire

/// What stands for many devices.
extension DeviceDirectory {
  /// Returns when the copy has all that the registry had confirmed when this was asked: for whoever is about to look at
  /// more than one device.
  /// - Throws: `ConsumerBehind` if that takes too long.
  public func settled() async throws { try await end.submit(()) }

  /// So many names are one statement.
  private static let namesAtOnce = 500

  /// Finds devices by record id, `deviceId` or `mcuId`, each as `device` does: what is found for each name, in their order.
  public func devices(_ references: [String], in organisation: UUID) async throws -> [Found] {
    var found: [Found] = []
    for start in stride(from: 0, to: references.count, by: Self.namesAtOnce) {
      let names = Array(references[start...].prefix(Self.namesAtOnce))
      found += try await Self.find(
        names.map { Question(reference: $0, organisation: organisation) }, in: database)
    }
    return found
  }

  /// Boards as a transaction sees them, by their ids; those that are not there are left out.
  public static func boards(
    _ ids: [UUID], on connection: PostgresConnection
  ) async throws -> [UUID: BoardEntity] {
    let documents = try await connection.query(
      "SELECT document FROM directory_board WHERE id = ANY(\(ids)::uuid[])"
    ).decode(PostgresJSON.self)
    var boards: [UUID: BoardEntity] = [:]
    for document in documents {
      if case .board(let board) = try Entity(.board, json: try JSON(parsing: document.bytes)) {
        boards[board.id] = board
      }
    }
    return boards
  }
}
