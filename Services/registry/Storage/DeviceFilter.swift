import FilterLanguage
import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

/// Which devices a list shows.
struct DeviceFilter: Sendable {
  var organisation: UUID?
  /// False also takes those that never said.
  var online: Bool?
  /// A part of the name, `mcuId` or `deviceId`, in any case of letters.
  var search: String?
  /// All of these hold.
  private var conditions: [DeviceExpression.Node] = []
  /// How long a list may take that asks for something.
  var patience: Duration = .seconds(10)

  init(organisation: UUID?, online: Bool? = nil) {
    (self.organisation, self.online) = (organisation, online)
  }

  /// The field has exactly this value.
  mutating func require(_ field: DeviceField, _ value: DeviceExpression.Operand) {
    conditions.append(.comparison(.init(field, .isOne(of: [value]))))
  }

  mutating func require(_ expression: DeviceExpression) { conditions.append(expression.root) }

  /// - Parameter after: only what follows it is wanted.
  func selection(after: UUID?) -> Selection {
    let condition =
      conditions.isEmpty
      ? nil : DeviceCondition(DeviceExpression(.all(conditions)), organisation: organisation, after: after)
    let hasState = online != nil || condition?.needsState == true
    let hasDevice = !hasState || condition != nil || search != nil
    var selection = Selection(
      hasDevice ? "device t" : "device_state s", key: hasDevice ? "t.id" : "s.id")
    if hasDevice, !hasState, condition == nil, search == nil {
      selection.keptCount = DeviceCounts.query(organisation)
    } else {
      selection.patience = patience
    }
    if hasDevice, hasState { selection.tables += " " + DeviceCondition.stateJoin }
    // Said of each table, so that each may lead along its index.
    if let organisation, hasDevice { selection.add("t.organisation_id = ", organisation) }
    if let organisation, hasState { selection.add("s.organisation_id = ", organisation) }
    if let after, hasDevice, hasState { selection.add("s.id > ", after) }
    if let condition { selection.add(condition) }
    if let online { selection.add(online ? "s.online" : "s.online IS NOT TRUE") }
    // Looks at each of the organisation's devices: 100,000 of them take about 0.1 s.
    if let search { selection.add("strpos(t.search, lower(", search, ")) > 0") }
    return selection
  }

  /// - Throws: 422 if it takes too long.
  func page(_ page: PageRequest, on database: any Querying) async throws -> Page<Device> {
    try await unlessTooDear {
      try await database.page(
        page, of: selection(after: page.after), select: DeviceTable.columns, from: "device t USING (id)",
        read: DeviceTable.read)
    }
  }

  /// - Throws: 422 if it takes too long.
  func pageWithState(
    _ page: PageRequest, on database: any Querying
  ) async throws -> Page<(device: Device, state: StoredState)> {
    try await unlessTooDear {
      try await database.page(
        page, of: selection(after: page.after), select: "\(DeviceTable.columns), \(StateTable.columns)",
        from: "device t USING (id) JOIN device_state s USING (device_id)"
      ) { (try DeviceTable.read($0), try StateTable.read($0)) }
    }
  }

  /// What took too long once does so again: that is no trouble which passes, as 503 would say.
  private func unlessTooDear<Answer: Sendable>(_ read: () async throws -> Answer) async throws -> Answer {
    do { return try await read() } catch let error as PostgresError where error.isStatementTimeout {
      if conditions.isEmpty, online == nil, search == nil { throw error }
      throw Problem.tooDear(seconds: patience)
    }
  }
}
