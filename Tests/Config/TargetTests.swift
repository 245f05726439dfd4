import ConfigDomain
import FoundationEssentials
import HTTP
import Postgres
import Testing
import Wire

@testable import ConfigService
@testable import Directory

@Suite struct TargetTests {
  /// From the least specific to the most, and back again.
  @Test func theMoreSpecificTakesThePlaceAndGivesItBack() async throws {
    let world = try await World(on: .fresh())
    let group = try await world.group()
    let device = try await world.newDevice(groups: [group])
    var artefacts: [JSON] = []
    for version in 1...3 { artefacts.append(try await world.artefact(["v": .int(Int64(version))])) }
    func has(_ artefact: JSON?) async throws -> Bool {
      try await world.slots(of: device)["wifi"] == artefact?["id"]
    }
    let byBoard = try await world.bound(artefacts[0], .deviceProfile, world.board)
    #expect(try await has(artefacts[0]))
    let byGroup = try await world.bound(artefacts[1], .deviceGroup, group)
    #expect(try await has(artefacts[1]))
    let byDevice = try await world.bound(artefacts[2], .device, device.id)
    #expect(try await has(artefacts[2]))
    #expect(try await world.convergence(byBoard)?["total"] == 1, "the world's other device")
    #expect(try await world.convergence(byGroup)?["total"] == 0)
    // What is less specific changes nothing.
    let count = try await world.documents(of: device).count
    try await world.bound(artefacts[0], .deviceGroup, group)
    #expect(try await has(artefacts[2]))
    #expect(try await world.documents(of: device).count == count)
    try await world.bound(artefacts[1], .deviceGroup, group)
    try await world.unbind(byDevice)
    #expect(try await has(artefacts[1]))
    try await world.unbind(byGroup)
    #expect(try await has(artefacts[0]))
    try await world.unbind(byBoard)
    #expect(try await has(nil))
    let last = try await world.documents(of: device).last
    #expect(last?["slots"] == [:], "nothing is bound: the document says so")
  }

  @Test func aSensorProfilesArtefactIsForItsComponentsInsideTheTarget() async throws {
    let world = try await World(on: .fresh())
    let (imu, modem, group) = (
      try await world.sensorProfile(), try await world.sensorProfile(), try await world.group()
    )
    let device = try await world.newDevice(
      groups: [group], components: [("imu0", imu), ("imu1", imu), ("modem", modem)])
    let other = try await world.newDevice(components: [("imu0", imu)])
    let profile = Profile(type: .sensor, id: imu)
    var artefacts: [JSON] = []
    for version in 1...4 {
      artefacts.append(
        try await world.artefact(
          of: profile, ["v": .int(Int64(version))], slot: "classifier", version: version))
    }
    let everywhere = try await world.bound(artefacts[0], .sensorProfile, imu, slot: "classifier")
    #expect(try await world.slots(of: device).keys.sorted() == ["imu0/classifier", "imu1/classifier"])
    #expect(try await world.convergence(everywhere)?["total"] == 3)
    try await world.bound(artefacts[1], .deviceGroup, group, slot: "classifier")
    #expect(try await world.convergence(everywhere)?["total"] == 1, "the other device's")
    try await world.bound(artefacts[2], .device, device.id, slot: "classifier")
    let single = try await world.bound(artefacts[3], .component, device.components[1].id, slot: "classifier")
    let slots = try await world.slots(of: device)
    #expect(slots["imu0/classifier"] == artefacts[2]["id"])
    #expect(slots["imu1/classifier"] == artefacts[3]["id"])
    #expect(try await world.slots(of: other) == ["imu0/classifier": artefacts[0]["id"] ?? .null])
    let targets = try await world.ask(.get, "\(World.bindings)/\(single)/targets").json["items"]?.array
    #expect(targets?.count == 1)
    #expect(targets?.first?["component"] == "imu1")
    #expect(targets?.first?["desired"]?["sha256"] == artefacts[3]["sha256"])
    try await world.unbind(single)
    #expect(try await world.slots(of: device)["imu1/classifier"] == artefacts[2]["id"])
    // A component that goes takes its configuration with it; one that comes gets what it should have.
    try await world.tell(.device(other.changed(components: [])))
    try await world.tell(
      .device(
        device.changed(
          components: device.components + [ComponentEntity(id: .v7(), key: "imu2", sensorProfileId: imu)])))
    try await world.fixture.settle()
    #expect(try await world.slots(of: other).isEmpty)
    #expect(try await world.slots(of: device)["imu2/classifier"] == artefacts[2]["id"])
  }

  @Test func betweenGroupsPriorityThenAge() async throws {
    let world = try await World(on: .fresh())
    let (old, young) = (try await world.group(), try await world.group())
    let device = try await world.newDevice(groups: [old, young])
    let (v1, v2) = (try await world.artefact(["v": 1]), try await world.artefact(["v": 2]))
    try await world.bound(v1, .deviceGroup, old)
    try await world.bound(v2, .deviceGroup, young)
    #expect(try await world.slots(of: device)["wifi"] == v1["id"], "the older")
    let id = try await world.bound(v2, .deviceGroup, young, priority: 1)
    #expect(try await world.slots(of: device)["wifi"] == v2["id"], "the higher priority")
    let state = try await world.ask(.get, "/api/v1/devices/\(device.deviceId)/desired-state?explain=true")
      .json
    let slot = state["slots"]?["wifi"]
    let candidates = slot?["candidates"]?.array ?? []
    #expect(candidates.map { $0["rank"] } == [1, 2])
    #expect(candidates.map { $0["won"] } == [true, false])
    #expect(candidates.first?["bindingId"]?.string == id)
    #expect(candidates.first?["why"] == "won: priority 1 is higher than 0")
    #expect(candidates.last?["why"]?.string?.hasPrefix("lost to \(id): priority") == true)
    #expect(candidates.first?["target"] == ["type": "DEVICE_GROUP", "id": .string(young.text)])
    #expect(candidates.first?["updatedBy"]?.string?.hasPrefix("apiKey/") == true)
    #expect(slot?["evidence"]?["publishedAt"]?.string != nil)
    #expect(slot?["evidence"]?["deliveredAt"] == nil)
    let path = "/api/v1/devices/\(device.deviceId)/desired-state"
    #expect(try await world.ask(.get, "\(path)?explain=perhaps").status == 400)
    #expect(try await world.ask(.get, "\(path)?explained=true").status == 400)
    #expect(try await world.ask(.get, "\(path)?explain=false").json["slots"]?["wifi"]?["candidates"] == nil)
  }

  @Test func membershipDecides() async throws {
    let world = try await World(on: .fresh())
    let group = try await world.group()
    let (v1, v2) = (
      try await world.artefact(["v": 1]), try await world.artefact(["v": 2], board: world.otherBoard)
    )
    let binding = try await world.bound(v1, .deviceGroup, group)
    #expect(try await world.convergence(binding)?["total"] == 0, "devices may come later")
    try await world.bound(v2, .deviceProfile, world.otherBoard)
    var device = try await world.newDevice()
    try await world.fixture.settle()
    #expect(try await world.documents(of: device).isEmpty)
    device = device.changed(groups: [group])
    try await world.tell(.device(device))
    try await world.fixture.settle()
    #expect(try await world.slots(of: device)["wifi"] == v1["id"])
    // Another board: what was for the old one is not for it.
    device = device.changed(board: world.otherBoard)
    try await world.tell(.device(device))
    try await world.fixture.settle()
    #expect(try await world.slots(of: device)["wifi"] == v2["id"])
    device = device.changed(groups: [], board: world.board)
    try await world.tell(.device(device))
    try await world.fixture.settle()
    #expect(try await world.slots(of: device).isEmpty)
    #expect(try await world.documents(of: device).map { $0["revision"]?.int } == [1, 2, 3])
  }

  /// A public board is everybody's; a binding is its organisation's alone.
  @Test func aBindingReachesItsOwnOrganisationOnly() async throws {
    let world = try await World(on: .fresh())
    let ours = try await world.newDevice(board: world.publicBoard)
    let theirs = DeviceEntity(
      id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: "t", soc: "esp32", boardId: world.publicBoard,
      organisationId: world.theirs, rev: 1)
    try await world.add(theirs)
    let binding = try await world.bound(
      try await world.artefact(board: world.publicBoard), .deviceProfile, world.publicBoard)
    #expect(try await world.convergence(binding)?["total"] == 1)
    #expect(try await world.slots(of: ours).count == 1)
    #expect(try await world.documents(of: theirs).isEmpty)
    // What is theirs is not there for us.
    let artefact = try await world.artefact()
    for (type, id) in [
      (TargetType.deviceProfile, world.theirBoard), (.deviceGroup, try await world.group(world.theirs)),
      (.sensorProfile, try await world.sensorProfile(of: world.theirs)), (.component, UUID()),
      (.deviceGroup, UUID()),
    ] { #expect(try await world.bind(artefact, type, id).status == 404, "\(type)") }
  }

  @Test func historyOutlivesTheBinding() async throws {
    let world = try await World(on: .fresh())
    let group = try await world.group()
    let (v1, v2) = (try await world.artefact(["v": 1]), try await world.artefact(["v": 2]))
    let id = try await world.bound(v1, .deviceGroup, group)
    try await world.bound(v2, .deviceGroup, group, priority: 3)
    try await world.bound(v2, .deviceGroup, group, priority: 3)
    try await world.unbind(id)
    let path = "\(World.bindings)/\(id)/history"
    let history = try await world.ask(.get, path, as: .viewer).json["items"]?.array ?? []
    #expect(history.map { $0["rev"]?.int } == [3, 2, 1], "newest first; what changed nothing is no change")
    #expect(history.map { $0["after"] == nil } == [true, false, false])
    #expect(history.map { $0["before"] == nil } == [false, false, true])
    #expect(history[1]["before"]?["artefactId"] == v1["id"])
    #expect(history[1]["after"] == ["artefactId": v2["id"] ?? .null, "version": 2, "priority": 3])
    #expect(history.allSatisfy { $0["by"]?.string?.hasPrefix("apiKey/") == true && $0["at"]?.string != nil })
    let first = try await world.ask(.get, path + "?limit=2").json
    let rest = try await world.ask(.get, path + "?limit=2&cursor=\(first["nextCursor"]?.string ?? "")").json
    #expect(rest["items"]?.array?.map { $0["rev"]?.int } == [1])
    #expect(rest["nextCursor"] == .null)
    #expect(try await world.ask(.get, path, key: world.theirKey).status == 404)
    #expect(try await world.ask(.get, "\(World.bindings)/\(UUID().text)/history").status == 404)
    #expect(try await world.ask(.get, path + "?limit=0").status == 400)
    #expect(try await world.ask(.get, path + "?cursor=x").status == 400)
    #expect(try await world.ask(.get, path + "?status=x").status == 400)
    let events = try await world.fixture.outbox(group.text, .configEvents)
    #expect(
      events.map(\.type) == ["Created", "Changed", "Removed"].map { "martlet.config.binding\($0)" })
    #expect(events[1].json["before"]?["version"] == 1)
    #expect(events[1].json["after"]?["version"] == 2)
  }

  @Test func targetsAreListedInPages() async throws {
    let world = try await World(on: .fresh())
    var devices: [DeviceEntity] = [world.device]
    for _ in 0..<4 { devices.append(try await world.newDevice()) }
    let artefact = try await world.artefact()
    let id = try await world.bound(artefact, .deviceProfile, world.board)
    try await world.fixture.uplink(
      devices[0].deviceId,
      [
        .reported([
          "wifi": ReportedSlot(
            version: 1, sha256: artefact["sha256"]?.string ?? "", status: .accepted, message: nil)
        ])
      ])
    try await world.fixture.uplink(devices[1].deviceId, [.published(revision: 1)])
    let path = "\(World.bindings)/\(id)/targets"
    var found: [JSON] = []
    var cursor: String? = ""
    while let at = cursor {
      let page = try await world.ask(
        .get, "\(path)?limit=2" + (at.isEmpty ? "" : "&cursor=\(at)"), as: .viewer
      ).json
      found += page["items"]?.array ?? []
      cursor = page["nextCursor"]?.string
    }
    #expect(found.compactMap { $0["deviceId"]?.string } == devices.map(\.deviceId).sorted())
    let states = Dictionary(
      uniqueKeysWithValues: found.map { ($0["deviceId"]?.string ?? "", [$0["status"], $0["reason"]]) })
    #expect(states[devices[0].deviceId] == ["ACCEPTED", nil])
    #expect(states[devices[1].deviceId] == ["PENDING", "offline"])
    #expect(states[devices[2].deviceId] == ["PENDING", "notDelivered"])
    let accepted = try await world.ask(.get, "\(path)?status=ACCEPTED").json["items"]?.array
    #expect(accepted?.count == 1)
    let numbers = try await world.convergence(id)
    #expect((numbers?["total"], numbers?["accepted"], numbers?["pending"]) == (5, 1, 4))
    #expect(numbers?["p50Seconds"]?.double == numbers?["p95Seconds"]?.double)
    #expect(try await world.ask(.get, "\(path)?status=DONE").status == 400)
    #expect(try await world.ask(.get, "\(path)?cursor=x").status == 400)
    #expect(try await world.ask(.get, path, key: world.theirKey).status == 404)
  }
}
