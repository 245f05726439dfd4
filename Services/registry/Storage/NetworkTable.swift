import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

extension Network: Owned { static var noun: String { "network" } }

/// Networks in the database.
struct NetworkTable: OwnedTable {
  static let name = "network"
  static let isPublic = "is_public"
  static let columns = """
    t.id, t.organisation_id, t.created_at, t.updated_at, t.name, t.description, t.key, t.network_id, t.is_public, t.rev
    """

  let database: any Querying

  static func read(_ row: PostgresRow) throws -> Network {
    Network(
      id: try row["id"].decode(UUID.self), organisationId: try row["organisation_id"].decode(UUID.self),
      createdAt: try row["created_at"].decode(Date.self), updatedAt: try row["updated_at"].decode(Date.self),
      name: try row["name"].decode(String.self), description: try row["description"].decode(String.self),
      key: try row["key"].decode(String.self), networkId: try row["network_id"].decode(Int64.self),
      isPublic: try row["is_public"].decode(Bool.self), rev: try row["rev"].decode(Int64.self))
  }

  func insert(_ network: Network) async throws {
    try await database.query(
      """
      INSERT INTO network (id, organisation_id, created_at, updated_at, name, description, key, network_id, is_public,
        rev)
      VALUES (\(network.id), \(network.organisationId), \(network.createdAt), \(network.updatedAt), \(network.name),
        \(network.description), \(network.key), \(network.networkId), \(network.isPublic), \(network.rev))
      """)
  }

  func update(_ network: Network, from current: Network) async throws {
    if current.isPublic, !network.isPublic {
      try await DeviceUsers(database: database, column: "network_id")
        .refuseHiding(network.id, of: network.organisationId, noun: "network")
    }
    try await database.query(
      """
      UPDATE network SET updated_at = \(network.updatedAt), name = \(network.name),
        description = \(network.description), key = \(network.key), network_id = \(network.networkId),
        is_public = \(network.isPublic), rev = \(network.rev)
      WHERE id = \(network.id)
      """)
  }

  func users(of network: Network, seenBy organisation: UUID?) async throws -> String? {
    try await DeviceUsers(database: database, column: "network_id").names(network.id, seenBy: organisation)
  }
}
