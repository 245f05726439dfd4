import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// What an organisation keeps beside its devices, each under its record id: boards, networks, sensor profiles, groups.
protocol Owned: Aggregate {
  /// What messages call it.
  static var noun: String { get }
  init(creating body: inout JSONFields, organisation: UUID?, id: UUID, at time: Date)
  /// What a PUT makes of it; itself, with its `rev`, if nothing changes.
  func changed(by body: JSON, at time: Date) throws(JSONFaults) -> Self
}

/// How a row is held until the transaction ends.
enum Hold: String, Sendable {
  case none = ""
  /// Against changes of the row, beside others who hold it so: for who uses it.
  case share = "FOR SHARE"
  /// Against everyone: for who changes it.
  case update = "FOR UPDATE"
}

/// Where they are kept.
protocol OwnedTable: Sendable {
  associatedtype Object: Owned

  /// In SQL.
  static var name: String { get }
  /// Of the table under the name `t`, in SQL.
  static var columns: String { get }
  /// Which rows of the table `t` every organisation may read and use, in SQL.
  static var isPublic: String { get }
  static func read(_ row: PostgresRow) throws -> Object

  var database: any Querying { get }
  init(database: any Querying)

  func insert(_ object: Object) async throws
  /// Writes what has changed; the row is held.
  /// - Throws: also what stands against the change.
  func update(_ object: Object, from current: Object) async throws
  /// Who uses it, as the organisation (nil: everyone) may know; nil if nobody does. The row is held.
  func users(of object: Object, seenBy organisation: UUID?) async throws -> String?
}

extension OwnedTable {
  static var isPublic: String { "false" }

  func delete(_ id: UUID) async throws {
    try await database.query("DELETE FROM \(unescaped: Self.name) WHERE id = \(id)")
  }

  /// One that the organisation (nil: any) may read and use: its own, or a public one.
  func find(_ id: UUID, for organisation: UUID?, hold: Hold = .none) async throws -> Object? {
    try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM \(unescaped: Self.name) t
      WHERE id = \(id)
        AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation) OR \(unescaped: Self.isPublic))
      \(unescaped: hold.rawValue)
      """
    ).first.map(Self.read)
  }

  /// Those of some that the organisation may read and use, held in one order for all.
  func find(_ ids: Set<UUID>, for organisation: UUID, hold: Hold) async throws -> [Object] {
    guard !ids.isEmpty else { return [] }
    return try await database.query(
      """
      SELECT \(unescaped: Self.columns) FROM \(unescaped: Self.name) t
      WHERE id = ANY(\(Array(ids))::uuid[]) AND (organisation_id = \(organisation) OR \(unescaped: Self.isPublic))
      ORDER BY id \(unescaped: hold.rawValue)
      """
    ).map(Self.read)
  }

  /// Those of an organisation (nil: of all) and, if wanted, the public ones of the others.
  func list(_ organisation: UUID?, includePublic: Bool, _ page: PageRequest) async throws -> Page<Object> {
    var selection = Selection("\(Self.name) t", key: "t.id")
    if let organisation {
      selection.add(
        "(organisation_id = ", organisation, includePublic ? " OR \(Self.isPublic))" : ")")
    }
    return try await database.page(
      page, of: selection, select: Self.columns, from: "\(Self.name) t USING (id)", read: Self.read)
  }
}
