import ConfigDomain
import Directory
import FoundationEssentials
import JSONSchema
import Postgres
import Threads
import Wire

/// What artefacts are made for: the boards and sensor profiles that an organisation may use, and the schemas of their slots,
/// each compiled when it is first needed.
struct ContentSchemas: Sendable {
  /// A compiled schema may take some megabytes: beyond so many all are forgotten.
  private static let most = 200

  private struct Place: Hashable {
    let profile: UUID
    let slot: String
  }

  let directory: DeviceDirectory
  private let compiled = Locked<[Place: (rev: Int64, rule: SchemaRule)]>([:])

  init(directory: DeviceDirectory) { self.directory = directory }

  /// The rule of a slot, as the registry last confirmed it; nil if the profile has none for it: then any content will do.
  /// - Parameter connection: of a transaction that began when the copy was settled: nothing else is waited for in it.
  /// - Throws: `JSONFaults` for a profile that is not there, or not for them: a board may be another's if it is public.
  func rule(
    of slot: String, for profile: Profile, in organisation: UUID, on connection: PostgresConnection? = nil
  ) async throws -> SchemaRule? {
    let schemas: JSONObject
    let rev: Int64
    switch profile.type {
    case .device:
      guard let board = try await board(profile.id, connection),
        board.isPublic || board.organisationId == organisation
      else { throw Self.missing("board") }
      (schemas, rev) = (board.configSchemas, board.rev)
    case .sensor:
      guard let found = try await sensorProfile(profile.id, connection),
        found.organisationId == organisation
      else { throw Self.missing("sensor profile") }
      (schemas, rev) = (found.configSchemas, found.rev)
    }
    guard let schema = schemas[slot] else { return nil }
    return rule(schema, rev: rev, at: Place(profile: profile.id, slot: slot))
  }

  private func board(_ id: UUID, _ connection: PostgresConnection?) async throws -> BoardEntity? {
    guard let connection else { return try await directory.board(id, isFresh: true) }
    return try await DeviceDirectory.boards([id], on: connection)[id]
  }

  private func sensorProfile(
    _ id: UUID, _ connection: PostgresConnection?
  ) async throws -> SensorProfileEntity? {
    guard let connection else { return try await directory.sensorProfile(id, isFresh: true) }
    return try await DeviceDirectory.sensorProfile(id, on: connection)
  }

  private func rule(_ schema: JSON, rev: Int64, at place: Place) -> SchemaRule {
    compiled.withLock { compiled in
      if let known = compiled[place], known.rev == rev { return known.rule }
      if compiled.count >= Self.most { compiled = [:] }
      let rule = SchemaRule(schema)
      compiled[place] = (rev, rule)
      return rule
    }
  }

  private static func missing(_ what: String) -> JSONFaults {
    JSONFaults([JSONFault(pointer: "/profile/id", message: "there is no such \(what)")])
  }
}
