import FilterLanguage
import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

// Whoever changes a group has the lock of its organisation alone, before any row: see `GroupLock`.
extension RegistryService {
  /// A group; with a query, it begins with those whom it finds.
  func create(
    _ group: DeviceGroup, for scope: UUID?, _ once: Once<DeviceGroup>, _ context: RequestContext
  ) async throws -> DeviceGroup {
    let query = try Self.query(of: group)
    try Self.check(group, isIn: scope)
    return try await change(once) { connection in
      let table = GroupTable(database: connection)
      let told = group.records(.created, context)
      guard let query else {
        try await table.insert(group)
        return Change(answer: group, records: told)
      }
      try await GroupLock.alone(group.organisationId, on: connection)
      try await Self.checkCount(table, in: group.organisationId)
      try await table.insert(group)
      let move = try await MembershipTable(database: connection).fill(group, by: query)
      return Change(answer: group, records: try await tell(told, move, context, on: connection))
    }
  }

  func update(
    group id: UUID, for scope: UUID?, by body: JSON, _ expected: Precondition, _ context: RequestContext
  ) async throws -> DeviceGroup {
    try await change { connection in
      let table = GroupTable(database: connection)
      let current = try await alone(id, for: scope, connection)
      try expected.check(Precondition.tag(current.id, rev: current.rev))
      let (changed, query) = try await Self.changed(current, by: body, connection)
      guard changed.rev != current.rev else { return Change(answer: current, records: []) }
      try await table.update(changed, from: current)
      let told = changed.records(.updated, context, from: current)
      // Without its query a group keeps its members, as its own.
      guard let query else { return Change(answer: changed, records: told) }
      let move = try await MembershipTable(database: connection).fill(changed, by: query)
      return Change(answer: changed, records: try await tell(told, move, context, on: connection))
    }
  }

  /// What a PUT would do to the members.
  func preview(
    group id: UUID, for scope: UUID?, by body: JSON, _ expected: Precondition
  ) async throws -> MembershipPreview {
    let current = try await find(id, in: GroupTable.self, for: scope)
    try expected.check(Precondition.tag(current.id, rev: current.rev))
    let (changed, query) = try await Self.changed(current, by: body, database)
    guard let query else { return MembershipPreview() }
    return try await MembershipTable(database: database).preview(changed, by: query)
  }

  func delete(
    group id: UUID, for scope: UUID?, _ expected: Precondition, _ context: RequestContext
  ) async throws {
    try await remove(inUse: "Something uses this group.") { connection in
      let current = try await alone(id, for: scope, connection)
      try expected.check(Precondition.tag(current.id, rev: current.rev))
      try await refuseUsed(current, seenBy: scope, connection)
      let move = try await MembershipTable(database: connection).remove(nil, from: current)
      try await GroupTable(database: connection).delete(id)
      return try await tell([], move, context, on: connection) + current.records(.deleted, context)
    }
  }

  func members(of id: UUID, for scope: UUID?, _ page: PageRequest) async throws -> Page<String> {
    let group = try await find(id, in: GroupTable.self, for: scope)
    return try await MembershipTable(database: database).list(group, page)
  }

  /// Puts devices into a group that has members of its own, or takes them out.
  /// - Parameter names: record ids and deviceIds.
  /// - Throws: 422 with each name that no device of the organisation has; 409 if the members follow a query, or a device
  ///   is in too many groups.
  func change(
    members names: [String], of id: UUID, for scope: UUID?, isJoin: Bool, once: Once<JSON>? = nil,
    _ context: RequestContext
  ) async throws -> JSON {
    try await change(once) { connection in
      let group = try await alone(id, for: scope, connection)
      if group.filter != nil {
        throw Problem.conflict("The members of this group follow its query: change the query.")
      }
      let table = MembershipTable(database: connection)
      let found = try await table.resolve(names, in: group.organisationId)
      let unknown = Set(names.indices).subtracting(found.map(\.place)).sorted()
      guard unknown.isEmpty else {
        throw Problem.unprocessable(
          unknown.map { JSONFault(pointer: "/deviceIds/\($0)", message: "is no device of the organisation") })
      }
      let ids = Set(found.map(\.id)).sorted { $0.text < $1.text }
      let move = try await isJoin ? table.add(ids, to: group) : table.remove(ids, from: group)
      if let crowded = Names("device", try await table.crowded(move.joined)).text {
        throw Problem.conflict(
          "Of \(crowded): a device is in \(MembershipTable.mostOfDevice) groups at most.")
      }
      let count = JSON.int(Int64(isJoin ? move.joined.count : move.left.count))
      return Change(
        answer: isJoin ? ["added": count] : ["removed": count],
        records: try await tell([], move, context, on: connection))
    }
  }

  /// A group that is to be changed; nobody else changes groups of its organisation, or devices, until the transaction
  /// ends.
  private func alone(_ id: UUID, for scope: UUID?, _ connection: PostgresConnection) async throws
    -> DeviceGroup
  {
    let table = GroupTable(database: connection)
    guard let seen = try await table.find(id, for: scope) else {
      throw Problem.notFound(DeviceGroup.noun)
    }
    try await GroupLock.alone(seen.organisationId, on: connection)
    return try await own(id, for: scope, table)
  }

  /// What a PUT makes of a group, and its query if that is another one than before.
  private static func changed(
    _ current: DeviceGroup, by body: JSON, _ database: any Querying
  ) async throws -> (DeviceGroup, DeviceExpression?) {
    let changed = try Problem.unlessFitting { try current.changed(by: body, at: .now.wholeMilliseconds) }
    guard let filter = changed.filter, !(current.filter?.isExactly(filter) ?? false) else {
      return (changed, nil)
    }
    if current.filter == nil {
      guard try await MembershipTable(database: database).isEmpty(current) else {
        throw Problem.conflict("This group has members of its own: take them out before it gets a query.")
      }
      try await checkCount(GroupTable(database: database), in: current.organisationId)
    }
    return (changed, try query(of: changed))
  }

  private static func query(of group: DeviceGroup) throws -> DeviceExpression? {
    guard let filter = group.filter else { return nil }
    do throws(FilterFault) { return try DeviceExpression(parsing: filter, for: .groupQuery) } catch {
      let detail = "The query's filter cannot be read, \(error)"
      throw Problem(400, detail, errors: [JSONFault(pointer: "/query/filter", message: "\(error)")])
    }
  }

  private static func checkCount(_ table: GroupTable, in organisation: UUID) async throws {
    guard try await table.withQuery(in: organisation).count < GroupTable.mostWithQuery else {
      throw Problem.conflict(
        "The organisation has \(GroupTable.mostWithQuery) groups with a query, which is the most.")
    }
  }
}
