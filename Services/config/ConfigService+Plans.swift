import ConfigDomain
import Directory
import FoundationEssentials
import Postgres
import Runtime
import Wire

// Changes of bindings that are looked at before they are made.
extension ConfigService {
  /// A change as a client asks for it.
  struct ChangeRequest: Sendable {
    let target: TargetReference
    let slot: String
    /// Nil to unbind.
    let artefactId: UUID?
    let priority: Int
  }

  /// What a plan is found to do.
  struct Plan: Sendable {
    let id: UUID
    let expiresAt: Date
    /// Those with a fault first, at most `listed`.
    var items: [PlannedDifference] = []
    /// Slots of devices that would change.
    var total = 0
    /// Those of them with a fault.
    var faults = 0
  }

  /// What was done.
  struct Applied: Sendable {
    let id: UUID
    let at: Date
    let bindings: [BindingView]
    let removed: [UUID]
  }

  /// The most slots that a plan lists.
  static let listed = 1000
  private static let lifetime: TimeInterval = 3600
  /// Devices that are looked at together.
  private static let page = 1000

  /// Finds out what changes would do, and keeps it.
  /// - Throws: 422 for a target or artefact that is not there.
  func plan(
    _ requests: [ChangeRequest], in organisation: UUID, by author: Author, _ once: Once<Plan>
  ) async throws -> Plan {
    let targets = try await targets(of: requests, in: organisation)
    try await directory.settled()
    let now = Date.now.wholeMilliseconds
    return try await database.withTransaction { connection in
      try await once.begin(on: connection)
      var plan = Plan(id: .v7(at: now), expiresAt: now + Self.lifetime)
      let changes = try await changes(requests, targets, in: organisation, connection)
      var (faulty, sound): ([PlannedDifference], [PlannedDifference]) = ([], [])
      let digest = try await outcome(of: changes, in: organisation, at: now, connection) { difference in
        plan.total += 1
        if difference.fault != nil {
          plan.faults += 1
          if faulty.count < Self.listed { faulty.append(difference) }
        } else if sound.count < Self.listed {
          sound.append(difference)
        }
      }
      plan.items = Array((faulty + sound).prefix(Self.listed))
      let stored = PlanStore.Stored(
        id: plan.id, organisationId: organisation, changes: .array(changes.map(\.json)), outcome: digest,
        expiresAt: plan.expiresAt)
      try await connection.enqueue([PlanStore.add(stored, at: now, by: author.name)])
      try await once.keep(plan, on: connection)
      return plan
    }
  }

  /// Does what was planned, all of it or nothing.
  /// - Throws: 404; 409 if it would not do what the plan says, or has been done, or is too old.
  func apply(_ id: UUID, in organisation: UUID, by author: Author) async throws -> Applied {
    try await directory.settled()
    let now = Date.now.wholeMilliseconds
    let (changed, removed) = try await database.withTransaction { connection in
      try await connection.enqueue([BindingLock.take(organisation)])
      guard let plan = try await PlanStore.lock(id, in: organisation, connection) else {
        throw Problem.notFound("plan")
      }
      if let at = plan.appliedAt { throw Problem.conflict("The plan was applied at \(at.rfc3339).") }
      guard plan.expiresAt > now else {
        throw Problem.conflict("The plan expired at \(plan.expiresAt.rfc3339): plan again.")
      }
      let changes = try await changes(plan, connection)
      let digest = try await outcome(of: changes, in: organisation, at: now, connection) { _ in }
      guard digest == plan.outcome else {
        throw try await differs(plan.outcome.differing(from: digest, most: 10), connection)
      }
      let done = try await make(changes, in: organisation, at: now, by: author, connection)
      try await connection.enqueue([PlanStore.applied(id, at: now, by: author.name)])
      return done
    }
    return Applied(id: id, at: now, bindings: try await view(changed), removed: removed)
  }

  /// Forgets plans whose time is long over.
  func sweepPlans() async throws { try await PlanStore.sweep(database) }

  // MARK: The outcome

  /// Works through all devices that the changes may reach, a page at a time.
  private func outcome(
    of changes: [PlannedChange], in organisation: UUID, at now: Date, _ connection: PostgresConnection,
    each: (PlannedDifference) -> Void
  ) async throws -> PlanDigest {
    let targets = Set(changes.map(\.target))
    let present = try await bindings.active(of: targets, in: [organisation], connection)
    let planning = Planning(changes, to: present, at: now)
    let ids = try await PlanStore.reach(of: targets, in: organisation, connection)
    var digest = PlanDigest()
    var judge = PlanJudge(service: self, organisation: organisation, connection: connection)
    for start in stride(from: 0, to: ids.count, by: Self.page) {
      let rows = try await connection.query(
        DirectoryDevices.query(Array(ids[start..<min(start + Self.page, ids.count)])))
      let devices = try DirectoryDevices.read(rows)
      let bindings = try await bindings.active(
        of: Set(devices.lazy.flatMap { Resolution.targets(of: $0) }), in: [organisation], connection)
      for device in devices {
        var (differences, after) = planning.differences(for: device, among: bindings)
        try await judge.judge(&differences, after)
        differences.forEach(each)
        digest.add(device, differences)
      }
    }
    return digest
  }

  private func differs(
    _ differing: (ids: [UUID], count: Int), _ connection: PostgresConnection
  ) async throws -> Problem {
    let devices = try DirectoryDevices.read(try await connection.query(DirectoryDevices.query(differing.ids)))
    let names = Dictionary(devices.map { ($0.id, $0.deviceId) }, uniquingKeysWith: { $1 })
    let list = differing.ids.map { names[$0] ?? $0.text }.sorted().joined(separator: ", ")
    return .conflict(
      "The outcome would not be what the plan says, for \(differing.count) devices: \(list)"
        + (differing.count > differing.ids.count ? " and more" : "") + ". Plan again.")
  }

  // MARK: The changes

  private func targets(of requests: [ChangeRequest], in organisation: UUID) async throws -> [Target] {
    var (targets, faults): ([Target], [JSONFault]) = ([], [])
    var seen: Set<[String]> = []
    for (index, request) in requests.enumerated() {
      do {
        let target = try await find(request.target, in: organisation).0
        targets.append(target)
        if !seen.insert([target.type.rawValue, target.id.text, request.slot]).inserted {
          faults.append(
            JSONFault(pointer: "/changes/\(index)", message: "is a second change of this target and slot"))
        }
      } catch let problem as Problem where problem.status == 404 || problem.status == 409 {
        faults.append(JSONFault(pointer: "/changes/\(index)/target/id", message: problem.detail))
      }
    }
    if !faults.isEmpty { throw Problem.unprocessable(faults) }
    return targets
  }

  private func changes(
    _ requests: [ChangeRequest], _ targets: [Target], in organisation: UUID, _ connection: PostgresConnection
  ) async throws -> [PlannedChange] {
    var changes: [PlannedChange] = []
    for (index, (request, target)) in zip(requests, targets).enumerated() {
      var artefact: Artefact?
      if let id = request.artefactId {
        artefact = try await artefactToBind(
          id, request.slot, in: organisation, at: "/changes/\(index)", connection)
      }
      changes.append(
        PlannedChange(target: target, slot: request.slot, artefact: artefact, priority: request.priority))
    }
    return changes
  }

  /// The changes of a plan that was kept.
  private func changes(
    _ plan: PlanStore.Stored, _ connection: PostgresConnection
  ) async throws -> [PlannedChange] {
    var changes: [PlannedChange] = []
    // Artefacts in one order, since each stays locked.
    for json in (plan.changes.array ?? []).sorted(by: {
      $0["artefactId"]?.string ?? "" < $1["artefactId"]?.string ?? ""
    }) {
      guard let type = json["target"]?["type"]?.string.flatMap(TargetType.init(rawValue:)),
        let id = json["target"]?["id"]?.string.flatMap({ UUID(text: $0) }), let slot = json["slot"]?.string
      else { continue }
      var artefact: Artefact?
      if let id = json["artefactId"]?.string.flatMap({ UUID(text: $0) }) {
        artefact = try await artefacts.hold(id, in: plan.organisationId, connection)
        if artefact == nil { throw Problem.conflict("The artefact \(id.text) is no more: plan again.") }
      }
      changes.append(
        PlannedChange(
          target: Target(type: type, id: id), slot: slot, artefact: artefact,
          priority: Int(json["priority"]?.int ?? 0)))
    }
    return changes
  }

  /// Makes the changes, in the order of targets and slots, and has their devices resolved.
  private func make(
    _ changes: [PlannedChange], in organisation: UUID, at now: Date, by author: Author,
    _ connection: PostgresConnection
  ) async throws -> (changed: [Binding], removed: [UUID]) {
    var (changed, removed): ([Binding], [Binding]) = ([], [])
    var events: [Event] = []
    for change in changes.sorted(by: { ($0.target.id.text, $0.slot) < ($1.target.id.text, $1.slot) }) {
      let present = try await bindings.lock(change.target, slot: change.slot, in: organisation, connection)
      let device = try await knownDevice(change.target, in: organisation, connection)
      if let next = change.binding(from: present, at: now, by: author.name) {
        changed.append(next)
        if next != present {
          events.append(try await put(next, before: present, of: device, by: author, connection))
        }
      } else if let present {
        removed.append(present)
        events.append(try await remove(present, of: device, at: now, by: author, connection))
      }
    }
    try await makeDue(changed + removed, in: author.traceparent, connection)
    try await outbox.tell(events, on: connection)
    return (changed, removed.map(\.id))
  }
}

extension PlannedChange {
  /// As it is kept.
  fileprivate var json: JSON {
    .compact([
      "target": target.json, "slot": .string(slot), "artefactId": artefact.map { .string($0.id.text) },
      "priority": .int(Int64(priority)),
    ])
  }
}
