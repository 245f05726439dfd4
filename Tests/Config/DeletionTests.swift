import ConfigDomain
import FoundationEssentials
import HTTP
import Postgres
import TestSupport
import Testing
import Wire

@testable import ConfigService
@testable import Directory

@Suite("What is deleted stays deleted")
struct DeletionTests {
  private static func key(_ organisation: UUID, _ text: String) -> APIKeyEntity {
    APIKeyEntity(
      id: .v7(), organisationId: organisation, name: "k", role: .admin, hash: Bus.hash(of: text),
      expiresAt: nil, rev: 1)
  }

  private static func device(of organisation: UUID) -> DeviceEntity {
    DeviceEntity(
      id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: "m", soc: "s", boardId: .v7(),
      organisationId: organisation, rev: 1)
  }

  @Test("in the executable: deleted, made anew, and the old record once more; within a second")
  func executable() async throws {
    let bus = try await Bus()
    let config = try await Executable(bus: bus)
    defer { config.process.stop() }
    let organisation = UUID.v7()
    let admin = Self.key(organisation, "the-key")
    var (revoked, device) = (admin, Self.device(of: organisation))
    var (made, path): ([Event], String) = ([], "")
    // The other tests run beside this one: so it is tried again, and once is enough.
    var times: [Duration] = []
    repeat {
      revoked = Self.key(organisation, "revoked \(times.count)")
      device = Self.device(of: organisation)
      made = [Entity.apiKey(admin), .apiKey(revoked), .device(device)].map { $0.event(traceparent: nil) }
      try await bus.send(made)
      path = "/api/v1/devices/\(device.id.text)/desired-state"
      #expect(try await config.status(path, key: "revoked \(times.count)") == 200)
      try await bus.send(
        [Entity.apiKey(revoked).deletion, Entity.device(device).deletion].map { $0.event(traceparent: nil) })
      let (start, gone, key) = (ContinuousClock.now, path, "revoked \(times.count)")
      try await eventually("the key is refused") { try await config.status(gone, key: key) == 401 }
      try await eventually("the device is gone") { try await config.status(gone, key: "the-key") == 404 }
      times.append(.now - start)
    } while times.count < 5 && times.allSatisfy { $0 >= .seconds(1) }
    #expect(times.contains { $0 < .seconds(1) }, "\(times)")

    // The same deviceId again, as another device, and what was published first once more, as a relay that has lost its
    // lock without noticing may do.
    let next = DeviceEntity(
      id: .v7(), deviceId: device.deviceId, mcuId: "m", soc: "s", boardId: .v7(),
      organisationId: organisation, rev: 1)
    try await bus.send([Entity.device(next).event(traceparent: nil)] + made)
    let marker = Self.key(organisation, "marker")
    // The marker is on any partition: known when the copy has reached the topic's end.
    try await bus.send([Entity.apiKey(marker).event(traceparent: nil)])
    #expect(try await config.status("/api/v1/devices/\(next.deviceId)/desired-state", key: "marker") == 200)
    try await config.caughtUp()
    #expect(try await config.status(path, key: "marker") == 404, "a late record revives no device")
    #expect(try await config.status(path, key: "revoked \(times.count - 1)") == 401, "nor a key")
  }

  @Test("a component that its device has no more, or that went with it, has no bindings")
  func components() async throws {
    let world = try await World(on: .fresh())
    let service = world.fixture.service
    let imu = try await world.sensorProfile()
    let artefact = try await world.artefact(of: Profile(type: .sensor, id: imu), ["rate": 1])
    let device = try await world.newDevice(components: [("kept", imu), ("taken off", imu)])
    let other = try await world.newDevice(components: [("of a deleted device", imu)])
    for part in device.components + other.components { try await world.bound(artefact, .component, part.id) }
    var scan = ConfigService.OrphanScan()
    #expect(try await service.removeOrphans(&scan, limit: 10) == 0)
    let kept = device.components[0]
    let changed = DeviceEntity(
      id: device.id, deviceId: device.deviceId, mcuId: device.mcuId, soc: device.soc, boardId: device.boardId,
      organisationId: device.organisationId, components: [kept], rev: 2)
    try await world.fixture.registry([.present(.device(changed)), .deleted(Entity.device(other).deletion)])
    #expect(try await service.removeOrphans(&scan, limit: 10) == 2)
    // An older word of the device, as when the topic is read again, ends nothing and brings nothing back.
    try await world.fixture.registry([.present(.device(device))])
    #expect(try await service.removeOrphans(&scan, limit: 10) == 0)
    let left = try await world.ask(.get, World.bindings).json["items"]?.array
    #expect(left?.map { $0["target"]?["id"] } == [.string(kept.id.text)])
    // The end is told where the beginning was.
    for deviceId in [device.deviceId, other.deviceId] {
      let told = try await world.fixture.outbox(deviceId, .configEvents).filter {
        $0.type == "martlet.config.bindingRemoved"
      }
      #expect(told.count == 1 && told.first?.json["deviceId"] == .string(deviceId))
    }
  }

  @Test(
    "bindings of targets that the registry has deleted go; those of targets that are only not known here stay"
  )
  func orphans() async throws {
    let world = try await World(on: .fresh())
    let service = world.fixture.service
    let (kept, group) = (try await world.group(), try await world.group())
    let device = try await world.newDevice(groups: [kept, group])
    let artefact = try await world.artefact()
    for target in [kept, group] { try await world.bound(artefact, .deviceGroup, target) }
    let own = try await world.artefact(["ssid": "own"])
    try await world.bound(own, .device, device.id)
    try await world.fixture.runtime.database.query("DELETE FROM directory_group WHERE id = \(kept)")
    let gone: [Entity] = [
      .group(GroupEntity(id: group, organisationId: world.ours, name: "g", rev: 1)), .device(device),
    ]
    try await world.fixture.registry(gone.map { .deleted($0.deletion) })
    #expect(try await service.clearDeletedDevices(limit: 10) == 1)
    var scan = ConfigService.OrphanScan()
    #expect(try await service.removeOrphans(&scan, limit: 1) + service.removeOrphans(&scan, limit: 1) == 1)
    #expect(try await service.removeOrphans(&scan, limit: 10) == 0)
    try await world.fixture.settle()
    let left = try await world.ask(.get, World.bindings).json["items"]?.array
    #expect(left?.map { $0["target"]?["id"] } == [.string(kept.text)])
    #expect(
      try await world.ask(.delete, "/api/v1/config-artefacts/\(own["id"]?.string ?? "")").status == 204)
    let told = try await world.fixture.outbox(group.text, .configEvents)
    #expect(told.last?.type == "martlet.config.bindingRemoved" && told.last?.json["by"] == "registry")
  }

  @Test("groups, components and sensor profiles are kept, each by its newest record")
  func newerKinds() async throws {
    let world = try await World()
    let database = world.fixture.runtime.database
    let (id, group, profile) = (UUID.v7(), UUID.v7(), UUID.v7())
    func device(rev: Int64, groups: [UUID]) -> Entity {
      .device(
        DeviceEntity(
          id: id, deviceId: Identifier.randomDeviceId(), mcuId: "m", soc: "s", boardId: .v7(),
          organisationId: world.ours, networkId: .v7(), groupIds: groups,
          components: [ComponentEntity(id: .v7(), key: "imu", sensorProfileId: profile)], rev: rev))
    }
    let ours = world.ours
    let others: [Entity] = [
      .group(GroupEntity(id: group, organisationId: ours, name: "g", rev: 1)),
      .sensorProfile(
        SensorProfileEntity(id: profile, organisationId: ours, name: "p", configSchemas: ["s": true], rev: 1)),
    ]
    func apply(_ records: [EntityRecord]) async throws {
      try await database.withTransaction { try await DeviceDirectory.apply(records, $0) }
    }
    try await apply(others.map { .present($0) } + [.present(device(rev: 2, groups: [group, .v7()]))])
    try await apply([.present(device(rev: 1, groups: []))])
    let row = try await database.query(
      "SELECT group_ids[1], cardinality(group_ids), components -> 0 ->> 'key' FROM directory_device WHERE id = \(id)"
    ).first?.decode((UUID, Int32, String).self)
    #expect(row?.0 == group && row?.1 == 2 && row?.2 == "imu")
    let document = try await database.query(
      "SELECT document -> 'configSchemas' ->> 's' FROM directory_sensor_profile WHERE id = \(profile)")
    #expect(try document.first?.decode(String.self) == "true")
    try await apply(others.map { .deleted($0.deletion) } + others.map { .present($0) })
    let left = try await database.query(
      """
      SELECT (SELECT count(*) FROM directory_group WHERE id = \(group))
        + (SELECT count(*) FROM directory_sensor_profile WHERE id = \(profile))
      """)
    #expect(try left.first?.decode(Int64.self) == 0)
  }

  @Test("in one batch, in any order, and with a tombstone of an earlier registry")
  func batches() async throws {
    let world = try await World()
    let database = world.fixture.runtime.database
    func isThere(_ id: UUID) async throws -> Bool {
      try await !database.query("SELECT FROM directory_device WHERE id = \(id)").isEmpty
    }
    func device(rev: Int64, _ id: UUID) -> Entity {
      .device(
        DeviceEntity(
          id: id, deviceId: Identifier.randomDeviceId(), mcuId: "m", soc: "s", boardId: .v7(),
          organisationId: world.ours, rev: rev))
    }
    func apply(_ records: [EntityRecord]) async throws {
      try await database.withTransaction { try await DeviceDirectory.apply(records, $0) }
    }
    let id = UUID.v7()
    let (first, second) = (device(rev: 1, id), device(rev: 2, id))
    try await apply([.present(second), .deleted(second.deletion), .present(first), .present(second)])
    #expect(try await !isThere(id))
    try await apply([.present(second)])
    #expect(try await !isThere(id))
    let other = UUID.v7()
    try await apply([.present(device(rev: 7, other))])
    try await apply([.deleted(device(rev: 3, other).deletion)])
    #expect(try await isThere(other), "an end that is older than what is known ends nothing")
    try await apply([try EntityRecord(.device, other, value: nil)])
    try await apply([.present(device(rev: 8, other))])
    #expect(try await !isThere(other))
  }

  /// Until it has been cleaned up after that device, by this sweep or by another test's, which may have it in hand.
  private func sweep(after device: DeviceEntity, _ world: World, at now: Date = .now) async throws {
    try await eventually("it is cleaned up") {
      while try await world.fixture.service.clearDeletedDevices(limit: 10, at: now) > 0 {}
      return try await world.fixture.runtime.database.query(
        "SELECT FROM directory_deletion WHERE id = \(device.id) AND look_at <= now()"
      ).isEmpty
    }
  }

  @Test("a deleted device counts for no binding, and its next owner's reports not for the first")
  func counting() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let binding = try await world.bind(artefact).json
    let location = "/api/v1/desired-state-bindings/\(binding["id"]?.string ?? "")"
    let report = Uplink.reported([
      "wifi": ReportedSlot(version: 1, sha256: artefact["sha256"]?.string ?? "", status: .accepted)
    ])
    // Before the sweep, too: the deviceId has another owner, who still reads the first one's document.
    try await world.tell([.deleted(Entity.device(world.device).deletion)])
    let next = DeviceEntity(
      id: .v7(), deviceId: world.device.deviceId, mcuId: "next", soc: "esp32", boardId: world.theirBoard,
      organisationId: world.theirs, rev: 1)
    try await world.tell([.present(.device(next))])
    try await world.fixture.uplink(world.device.deviceId, [.published(revision: 1), report])
    #expect(try await world.ask(.get, location).json["convergence"]?["accepted"] == 0)
    try await sweep(after: world.device, world)
    try await eventually("its binding has gone with it") { try await world.ask(.get, location).status == 404 }
    let due = try await world.fixture.runtime.database.query(
      "SELECT next_attempt_at FROM device_configuration WHERE device_id = \(world.device.deviceId)")
    #expect(try due.first?.decode(Date?.self) == nil, "and its document is not sent again")
  }

  @Test("what the broker keeps for a deleted device is cleared, and its next owner's document is not")
  func retained() async throws {
    let world = try await World(on: .fresh())
    let deviceId = world.device.deviceId
    let artefact = try await world.artefact()
    _ = try await world.bind(artefact)
    func cleared() async throws -> [String?] {
      try await world.fixture.outbox(deviceId, .deviceDownlink).filter { $0.type == Downlink.clearType }
        .map { $0.json["topic"]?.string }
    }
    try await world.tell([.deleted(Entity.device(world.device).deletion)])
    try await sweep(after: world.device, world)
    #expect(try await cleared() == ["desired", "presence"])
    // The second look, when somebody else has the deviceId, but no document yet.
    let next = DeviceEntity(
      id: .v7(), deviceId: deviceId, mcuId: "next", soc: "esp32", boardId: world.board,
      organisationId: world.ours, rev: 1)
    try await world.tell([.present(.device(next))])
    func lookAgain() async throws {
      try await world.fixture.runtime.database.query(
        "UPDATE directory_deletion SET look_at = now() WHERE id = \(world.device.id)")
      // When the next one has had the time to say that it is there.
      try await sweep(after: world.device, world, at: .now + 10)
    }
    try await lookAgain()
    #expect(try await cleared() == ["desired", "presence", "desired"])
    _ = try await world.bind(artefact, to: next)
    try await lookAgain()
    let last = try await cleared()
    #expect(last.count == 3, "the document is the new one's: \(last)")
  }

  @Test("one that is registered again at once begins with nothing retained")
  func registeredAtOnce() async throws {
    let world = try await World()
    let deviceId = world.device.deviceId
    let next = DeviceEntity(
      id: .v7(), deviceId: deviceId, mcuId: "next", soc: "esp32", boardId: world.board,
      organisationId: world.ours, rev: 1)
    try await world.tell([.deleted(Entity.device(world.device).deletion), .present(.device(next))])
    try await sweep(after: world.device, world)
    let cleared = try await world.fixture.outbox(deviceId, .deviceDownlink)
      .filter { $0.type == Downlink.clearType }.map { $0.json["topic"]?.string }
    #expect(cleared.contains("presence"))
  }

  @Test("a document that somebody cleared at the broker is sent again")
  func clearedByAnother() async throws {
    let world = try await World()
    _ = try await world.bind(try await world.artefact())
    try await world.fixture.uplink(world.device.deviceId, [.published(revision: 1), .published(revision: 0)])
    let due = try await world.fixture.runtime.database.query(
      "SELECT next_attempt_at IS NOT NULL FROM device_configuration WHERE device_id = \(world.device.deviceId)"
    )
    #expect(try due.first?.decode(Bool.self) == true)
  }

  @Test("a deviceId that another device has now begins with nothing, above the old revision")
  func nextOwner() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    _ = try await world.bind(artefact)
    try await world.tell([.deleted(Entity.device(world.device).deletion)])
    let next = DeviceEntity(
      id: .v7(), deviceId: world.device.deviceId, mcuId: "next", soc: "esp32", boardId: world.board,
      organisationId: world.ours, rev: 1)
    try await world.tell([.present(.device(next))])
    #expect(try await world.bind(artefact, to: next).json["convergence"]?["total"] == 1)
    let state = try await world.ask(.get, "/api/v1/devices/\(next.deviceId)/desired-state").json
    #expect(state["revision"] == 2)
    #expect(state["slots"]?["wifi"]?["reported"] == nil)
  }
}

extension World {
  /// Writes into the copy of the registry, as its consumer does.
  func tell(_ records: [EntityRecord]) async throws {
    try await fixture.runtime.database.withTransaction { try await DeviceDirectory.apply(records, $0) }
  }
}

extension Executable {
  /// What a request of that key is answered with.
  func status(_ path: String, key: String) async throws -> Int { try await ask(path, key: key).status }

  /// Returns when the copy has what was published until now: a device that is not there is answered only then.
  func caughtUp() async throws {
    _ = try await status("/api/v1/devices/\(UUID.v7().text)/desired-state", key: "the-key")
  }
}
