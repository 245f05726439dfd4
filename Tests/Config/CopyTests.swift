import ConfigDomain
import FoundationEssentials
import HTTP
import Observability
import Postgres
import TestSupport
import Testing
import Wire

@testable import ConfigService
@testable import Directory

/// Never on a guess: no device is sent another document because the copy of the registry is not there, or behind.
@Suite struct CopyTests {
  @Test func aCopyThatIsReadOnceMoreChangesNothing() async throws {
    let world = try await World(on: .fresh())
    let group = try await world.group()
    let (v1, v2) = (try await world.artefact(["v": 1]), try await world.artefact(["v": 2]))
    let first = try await world.newDevice()
    let second = first.changed(groups: [group])
    try await world.tell(.device(second))
    let byBoard = try await world.bound(v1, .deviceProfile, world.board)
    let byGroup = try await world.bound(v2, .deviceGroup, group)
    #expect(try await world.slots(of: second)["wifi"] == v2["id"])
    let documents = try await world.documents(of: second)

    // The copy is lost, while bindings are made and go.
    let database = world.fixture.runtime.database
    try await database.query("DELETE FROM directory_device")
    try await world.fixture.settle()
    let v3 = try await world.artefact(["v": 3])
    _ = try await world.bind(v3, .deviceGroup, group)
    try await world.fixture.settle()
    func artefact() async throws -> String? {
      try await database.query("SELECT artefact_id FROM desired_slot WHERE device_id = \(second.deviceId)")
        .first?.decode(UUID.self).text
    }
    #expect(try await artefact() == v2["id"]?.string, "a device that is not in the copy keeps what it has")
    // It is read from its start: the device as it was before it was in the group, in a restarted service.
    try await world.tell(.device(first))
    try await world.fixture.settle()
    #expect(try await artefact() == v2["id"]?.string, "not by an older record")
    #expect(try await world.documents(of: second) == documents)
    _ = (byBoard, byGroup)
    // And as it is: now what was bound meanwhile counts.
    try await world.tell(.device(second))
    try await world.fixture.settle()
    #expect(try await artefact() == v3["id"]?.string)
    #expect(try await world.documents(of: second).count == documents.count + 1)
    // The same once more, with nothing bound meanwhile.
    try await database.query("DELETE FROM directory_device")
    try await world.tell(.device(first))
    try await world.fixture.settle()
    try await world.tell(.device(second))
    try await world.fixture.settle()
    #expect(try await world.documents(of: second).count == documents.count + 1)
  }

  /// A group that this copy does not know yet, of which a device says that it is in it.
  @Test func anUnknownGroupIsAGroup() async throws {
    let world = try await World(on: .fresh())
    let group = try await world.group()
    let device = try await world.newDevice(groups: [group])
    let artefact = try await world.artefact()
    try await world.bound(artefact, .deviceGroup, group)
    try await world.fixture.runtime.database.query("DELETE FROM directory_group")
    try await world.tell(.device(device.changed()))
    try await world.fixture.settle()
    #expect(try await world.slots(of: device)["wifi"] == artefact["id"])
    #expect(try await world.documents(of: device).count == 1)
  }

  /// A device that joins a group and a binding of that group, written at the same time: neither sees the other, and the
  /// device gets it all the same, whichever commits first.
  @Test(arguments: [true, false]) func neitherMissesTheOther(isBindingFirst: Bool) async throws {
    let world = try await World(on: .fresh())
    let group = try await world.group()
    let device = try await world.newDevice()
    let artefact = try await world.artefact()
    let service = world.fixture.service
    let joined = EntityRecord.present(.device(device.changed(groups: [group])))
    if isBindingFirst {
      try await world.fixture.runtime.database.withTransaction { connection in
        try await DeviceDirectory.apply(
          [joined], connection, changed: ConfigService.devicesChanged(waking: service.due))
        try await world.bind(artefact, .deviceGroup, group)
        try await world.fixture.settle()
        #expect(try await world.slots(of: device).isEmpty, "the membership is not committed yet")
      }
    } else {
      let found = try await service.artefact(
        UUID(text: artefact["id"]?.string ?? "") ?? UUID(), in: world.ours
      ).artefact
      try await world.fixture.runtime.database.withTransaction { connection in
        let binding = Binding(
          target: Target(type: .deviceGroup, id: group), to: found, priority: 0, at: .now.wholeMilliseconds,
          by: "t")
        try await service.bindings.put(binding, connection)
        try await service.makeDue([binding], in: nil, connection)
        // Enqueued statements go with the next one.
        try await connection.query("SELECT 1")
        try await world.fixture.registry([joined])
        try await world.fixture.settle()
        #expect(try await world.slots(of: device).isEmpty, "the binding is not committed yet")
      }
    }
    try await world.fixture.settle()
    #expect(try await world.slots(of: device)["wifi"] == artefact["id"])
  }

  /// One device whose resolution fails does not keep the others waiting.
  @Test func oneThatFailsStopsNobody() async throws {
    let world = try await World(on: .fresh())
    let (poisoned, group) = (try await world.artefact(["v": 1]), try await world.group())
    let artefact = try await world.artefact(["v": 2])
    let failing = try await world.newDevice(groups: [group])
    try await world.bind(poisoned, .deviceGroup, group)
    try await world.fixture.runtime.database.query(
      "UPDATE artefact SET content = '{' WHERE id = \(UUID(text: poisoned["id"]?.string ?? "") ?? UUID())")
    try await world.bind(artefact, .deviceProfile, world.board)
    let later = try await world.newDevice()
    let resolver = DeviceResolver(
      service: world.fixture.service, logger: Logger(label: "test", level: .critical))
    let task = Task { try await resolver.run() }
    defer { task.cancel() }
    try await eventually("the others have it") { try await world.slots(of: later)["wifi"] == artefact["id"] }
    #expect(try await world.slots(of: failing).isEmpty)
  }

  /// Many devices, two replicas, and changes all the while: at the end each has what the rule says, and revisions only grew.
  @Test func twoReplicasAndManyChanges() async throws {
    let url = try await PostgresServer.shared().createDatabase("config")
    let one = try await Fixture(url: url)
    let two = try await Fixture(url: url)
    let world = try await World(on: one)
    let groups = [try await world.group(), try await world.group()]
    var devices: [DeviceEntity] = []
    for _ in 0..<40 { devices.append(try await world.newDevice()) }
    var artefacts: [JSON] = []
    for version in 1...4 { artefacts.append(try await world.artefact(["v": .int(Int64(version))])) }
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      for fixture in [one, two] {
        tasks.addTask { for _ in 0..<40 { try await fixture.settle() } }
      }
      let (all, made) = (devices, artefacts)
      tasks.addTask {
        for _ in 0..<20 {
          if Bool.random() {
            try await world.bind(
              made.randomElement() ?? .null, .deviceGroup, groups.randomElement() ?? UUID())
          } else {
            try await world.bind(made.randomElement() ?? .null, .deviceProfile, world.board)
          }
        }
      }
      tasks.addTask {
        for device in all {
          try await world.tell(.device(device.changed(groups: groups.filter { _ in Bool.random() })))
        }
      }
      try await tasks.waitForAll()
    }
    try await one.settle()
    let stored = try await one.service.configurations.lockAll(devices.map(\.id), one.runtime.database)
    #expect(stored.count == devices.count)
    for (configuration, winners) in stored {
      #expect(configuration.slots.mapValues(\.bindingId) == winners.mapValues(\.bindingId))
      #expect(configuration.slots.mapValues(\.artefact) == winners.mapValues(\.artefact))
      let sent = try await one.outbox(configuration.deviceId, .deviceDownlink).compactMap {
        $0.json["revision"]?.int
      }
      #expect(sent == Array(1...max(1, configuration.revision)).prefix(sent.count).map { $0 })
      #expect(sent.last ?? 0 == configuration.revision)
    }
  }
}

extension ConfigurationStore {
  /// What devices have, and what the rule says that they should.
  func lockAll(
    _ recordIds: [UUID], _ database: PostgresClient
  ) async throws -> [(DeviceConfiguration, [String: Candidate])] {
    try await database.withTransaction { connection in
      let locked = try await lock(recordIds: recordIds, connection)
      let bindings = try await BindingStore(database: database).active(
        of: Set(locked.flatMap { Resolution.targets(of: $0.device) }),
        in: Set(locked.map(\.device.organisationId)), connection)
      return locked.map { ($0.stored.configuration, Resolution.winners(for: $0.device, among: bindings)) }
    }
  }
}
