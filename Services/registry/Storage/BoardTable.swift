import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

extension Board: Owned { static var noun: String { "board" } }

/// Boards in the database.
struct BoardTable: OwnedTable {
  static let name = "board"
  static let isPublic = "is_public"
  static let columns = """
    t.id, t.organisation_id, t.created_at, t.updated_at, t.rev, t.name, t.description, t.soc, t.is_public,
    t.metadata_fields, t.device_type, t.config_schemas, t.command_catalogue, t.command_timeouts
    """

  let database: any Querying

  static func read(_ row: PostgresRow) throws -> Board {
    Board(
      id: try row["id"].decode(UUID.self), organisationId: try row["organisation_id"].decode(UUID.self),
      createdAt: try row["created_at"].decode(Date.self), updatedAt: try row["updated_at"].decode(Date.self),
      profile: BoardProfile(
        name: try row["name"].decode(String.self), description: try row["description"].decode(String.self),
        soc: try row["soc"].decode(String.self), isPublic: try row["is_public"].decode(Bool.self),
        metadataFields: try fields(row),
        deviceType: try row["device_type"].decode(String?.self),
        configSchemas: try row["config_schemas"].optionalObject(),
        commandCatalogue: try row["command_catalogue"].optionalObject(),
        commandTimeouts: try row["command_timeouts"].optionalObject()),
      rev: try row["rev"].decode(Int64.self))
  }

  /// What devices must know of a board that their organisation may use; it is held against changes until the transaction
  /// ends. Its schemas may take 1 MiB, and are left where they are.
  func rules(_ id: UUID, for organisation: UUID) async throws -> BoardRules? {
    try await rules([id], for: organisation).first
  }

  /// The same of some, held in one order for all.
  func rules(_ ids: Set<UUID>, for organisation: UUID) async throws -> [BoardRules] {
    try await database.query(
      """
      SELECT id, soc, metadata_fields FROM board
      WHERE id = ANY(\(Array(ids))::uuid[]) AND (organisation_id = \(organisation) OR is_public) ORDER BY id FOR SHARE
      """
    ).map {
      BoardRules(
        id: try $0["id"].decode(UUID.self), soc: try $0["soc"].decode(String.self),
        metadataFields: try Self.fields($0))
    }
  }

  private static func fields(_ row: PostgresRow) throws -> [MetadataField] {
    (try row["metadata_fields"].json().array ?? []).compactMap(MetadataField.init(stored:))
  }

  func insert(_ board: Board) async throws {
    let profile = board.profile
    try await database.query(
      """
      INSERT INTO board (id, organisation_id, created_at, updated_at, rev, name, description, soc, is_public,
        metadata_fields, device_type, config_schemas, command_catalogue, command_timeouts)
      VALUES (\(board.id), \(board.organisationId), \(board.createdAt), \(board.updatedAt), \(board.rev),
        \(profile.name), \(profile.description), \(profile.soc), \(profile.isPublic), \(profile.storedFields),
        \(profile.deviceType), \(profile.configSchemas.map { PostgresJSON($0) }),
        \(profile.commandCatalogue.map { PostgresJSON($0) }), \(profile.commandTimeouts.map { PostgresJSON($0) }))
      """)
  }

  func update(_ board: Board, from current: Board) async throws {
    if current.profile.isPublic, !board.profile.isPublic {
      try await users.refuseHiding(board.id, of: board.organisationId, noun: "board")
    }
    let profile = board.profile
    try await database.query(
      """
      UPDATE board SET updated_at = \(board.updatedAt), rev = \(board.rev), name = \(profile.name),
        description = \(profile.description), soc = \(profile.soc), is_public = \(profile.isPublic),
        metadata_fields = \(profile.storedFields), device_type = \(profile.deviceType),
        config_schemas = \(profile.configSchemas.map { PostgresJSON($0) }),
        command_catalogue = \(profile.commandCatalogue.map { PostgresJSON($0) }),
        command_timeouts = \(profile.commandTimeouts.map { PostgresJSON($0) })
      WHERE id = \(board.id)
      """)
    let (before, after) = (current.profile.uniqueNames, profile.uniqueNames)
    try await mark(before.subtracting(after), unique: false, of: board.id)
    try await mark(after.subtracting(before), unique: true, of: board.id)
  }

  func users(of board: Board, seenBy organisation: UUID?) async throws -> String? {
    try await users.names(board.id, seenBy: organisation)
  }

  private var users: DeviceUsers { DeviceUsers(database: database, column: "board_id") }

  /// Makes the values that its devices have of these fields unique, or no longer so. Empty ones are not compared. By way
  /// of its devices: no index on the metadata of boards is kept up for this rare change.
  private func mark(_ names: Set<ExactText>, unique: Bool, of board: UUID) async throws {
    guard !names.isEmpty else { return }
    try await database.query(
      """
      UPDATE device_metadata m SET is_unique = \(unique) FROM device t
      WHERE t.board_id = \(board) AND m.device = t.id AND m.name = ANY(\(names.map(\.text))::text[]) AND value <> ''
      """)
  }
}

extension BoardProfile {
  fileprivate var storedFields: PostgresJSON {
    PostgresJSON(bytes: JSON.array(metadataFields.map(\.json)).bytes)
  }
}

extension MetadataField {
  fileprivate init?(stored: JSON) {
    guard let name = stored["name"]?.string else { return nil }
    self.init(
      name: name, required: stored["required"]?.bool ?? false, unique: stored["unique"]?.bool ?? false)
  }
}
