import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// Boards in the database.
struct BoardTable: Sendable {
  let database: any Querying

  private static let columns = """
    t.id, t.organisation_id, t.created_at, t.updated_at, t.rev, t.name, t.description, t.soc, t.is_public,
    t.metadata_fields, t.device_type, t.config_schemas, t.command_catalogue
    """

  private static func read(_ row: PostgresRow) throws -> Board {
    Board(
      id: try row["id"].decode(UUID.self), organisationId: try row["organisation_id"].decode(UUID.self),
      createdAt: try row["created_at"].decode(Date.self), updatedAt: try row["updated_at"].decode(Date.self),
      profile: BoardProfile(
        name: try row["name"].decode(String.self), description: try row["description"].decode(String.self),
        soc: try row["soc"].decode(String.self), isPublic: try row["is_public"].decode(Bool.self),
        metadataFields: (try row["metadata_fields"].json().array ?? []).compactMap(
          MetadataField.init(stored:)),
        deviceType: try row["device_type"].decode(String?.self),
        configSchemas: try row["config_schemas"].optionalObject(),
        commandCatalogue: try row["command_catalogue"].optionalObject()),
      rev: try row["rev"].decode(Int64.self))
  }

  func insert(_ board: Board) async throws {
    let profile = board.profile
    try await database.query(
      """
      INSERT INTO board (id, organisation_id, created_at, updated_at, rev, name, description, soc, is_public,
        metadata_fields, device_type, config_schemas, command_catalogue)
      VALUES (\(board.id), \(board.organisationId), \(board.createdAt), \(board.updatedAt), \(board.rev),
        \(profile.name), \(profile.description), \(profile.soc), \(profile.isPublic), \(profile.storedFields),
        \(profile.deviceType), \(profile.configSchemas.map { PostgresJSON($0) }),
        \(profile.commandCatalogue.map { PostgresJSON($0) }))
      """)
  }

  func update(_ board: Board) async throws {
    let profile = board.profile
    try await database.query(
      """
      UPDATE board SET updated_at = \(board.updatedAt), rev = \(board.rev), name = \(profile.name),
        description = \(profile.description), soc = \(profile.soc), is_public = \(profile.isPublic),
        metadata_fields = \(profile.storedFields), device_type = \(profile.deviceType),
        config_schemas = \(profile.configSchemas.map { PostgresJSON($0) }),
        command_catalogue = \(profile.commandCatalogue.map { PostgresJSON($0) })
      WHERE id = \(board.id)
      """)
  }

  func delete(_ id: UUID) async throws { try await database.query("DELETE FROM board WHERE id = \(id)") }

  /// How a row is held until the transaction ends.
  enum Hold: String {
    case none = ""
    /// Against changes of the board, beside others who hold it so: for who uses it.
    case share = "FOR SHARE"
    /// Against everyone: for who changes it.
    case update = "FOR UPDATE"
  }

  /// A board that the organisation (nil: any) may read and use: its own, or a public one.
  func find(_ id: UUID, for organisation: UUID?, hold: Hold = .none) async throws -> Board? {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM board t
      WHERE id = \(id) AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation) OR is_public)
      \(unescaped: hold.rawValue)
      """
    ).first.map(Self.read)
  }

  /// The boards of an organisation (nil: of all) and, if wanted, the public ones of the others.
  func list(_ organisation: UUID?, includePublic: Bool, _ page: PageRequest) async throws -> Page<Board> {
    var conditions = Conditions()
    if let organisation {
      conditions.add("(t.organisation_id = ", organisation, includePublic ? " OR t.is_public)" : ")")
    }
    return try await database.page(
      page, select: Self.columns, from: "board t", where: conditions, read: Self.read)
  }

  /// Whether devices of other organisations use it.
  func isUsedByOthers(_ board: Board) async throws -> Bool {
    try await database.query(
      """
      SELECT EXISTS (SELECT FROM device WHERE board_id = \(board.id) AND organisation_id <> \(board.organisationId))
      """
    ).first?.decode(Bool.self) ?? false
  }

  /// Makes the index of unique values fit a board whose fields have changed.
  func reindex(_ id: UUID, drop: [String], add: [String]) async throws {
    if !drop.isEmpty {
      try await database.query(
        "DELETE FROM device_unique_metadata WHERE board_id = \(id) AND name = ANY(\(drop)::text[])")
    }
    if !add.isEmpty {
      try await database.query(
        """
        INSERT INTO device_unique_metadata (board_id, name, value, device)
        SELECT d.board_id, f.name, d.metadata ->> f.name, d.id FROM device d
        CROSS JOIN unnest(\(add)::text[]) AS f (name)
        WHERE d.board_id = \(id) AND d.metadata ? f.name
        """)
    }
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
