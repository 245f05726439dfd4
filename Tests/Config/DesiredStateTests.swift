import ConfigDomain
import FoundationEssentials
import Kafka
import Postgres
import Testing
import Wire

@testable import ConfigService

@Suite struct DesiredStateTests {
  @Test func theStoryOfOneDocument() async throws {
    let world = try await World()
    let deviceId = world.device.deviceId
    let empty = try await world.ask(.get, "/api/v1/devices/\(deviceId)/desired-state", as: .viewer)
    #expect(empty.json == ["deviceId": .string(deviceId), "revision": 0, "slots": [:]])
    let artefact = try await world.artefact()
    let binding = try await world.bind(artefact).json
    #expect(
      try await world.state() == [
        "artefactId": artefact["id"] ?? .null, "bindingId": binding["id"] ?? .null,
        "desired": ["version": 1, "sha256": artefact["sha256"] ?? .null], "status": "PENDING",
        "reason": "notDelivered",
      ])
    let told = Date(timeIntervalSince1970: 4_000_000_000)
    try await world.fixture.uplink(deviceId, [.published(revision: 1)])
    #expect(try await world.state()?["reason"] == "offline")
    try await world.fixture.uplink(deviceId, [.presence(online: true)])
    #expect(try await world.state()?["reason"] == "noReport")
    try await world.fixture.uplink(deviceId, [report(artefact, .inProgress)])
    #expect(try await world.state()?["status"] == "IN_PROGRESS")
    try await world.fixture.uplink(deviceId, [report(artefact, .accepted, message: "done")], at: told)
    let state = try await world.state()
    #expect(state?["status"] == "ACCEPTED")
    #expect(state?["reason"] == nil)
    #expect(
      state?["reported"] == [
        "version": 1, "sha256": artefact["sha256"] ?? .null, "status": "ACCEPTED",
        "at": .string(told.rfc3339),
        "message": "done",
      ])
    let location = "/api/v1/desired-state-bindings/\(binding["id"]?.string ?? "")"
    #expect(try await world.ask(.get, location).json["convergence"]?["accepted"] == 1)
    let events = try await world.fixture.outbox(deviceId, .configEvents).suffix(5)
    #expect(
      events.map(\.type)
        == ["documentChanged", "documentPublished", "reported", "reported", "converged"].map {
          "martlet.config.\($0)"
        })
    #expect(events.map { $0.json["rev"]?.int } == [1, 2, 3, 4, 5])
    #expect(events.dropLast().last?.json["status"] == "ACCEPTED")
  }

  @Test func acceptedWithAnotherHashIsNoSuccess() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let binding = try await world.bind(artefact).json
    var wrong = artefact
    if case .object(var object) = artefact {
      object["sha256"] = .string(String(repeating: "0", count: 64))
      wrong = .object(object)
    }
    try await world.fixture.uplink(world.device.deviceId, [report(wrong, .accepted)])
    #expect(try await world.state()?["status"] == "FAILED")
    #expect(try await world.state()?["reason"] == "hashMismatch")
    let location = "/api/v1/desired-state-bindings/\(binding["id"]?.string ?? "")"
    let convergence = try await world.ask(.get, location).json["convergence"]
    #expect((convergence?["failed"], convergence?["accepted"]) == (1, 0))
  }

  /// In one batch the later word counts; repeats and what is not this service's change nothing.
  @Test func aBatchIsAppliedInItsOrder() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    _ = try await world.bind(artefact)
    try await world.fixture.uplink(
      world.device.deviceId,
      [
        .presence(online: true), .published(revision: 1), report(artefact, .inProgress),
        report(artefact, .rejected),
        .sent(id: UUID()), report(artefact, .rejected), .published(revision: 1),
      ])
    #expect(try await world.state()?["status"] == "REJECTED")
    let reported = try await world.fixture.outbox(world.device.deviceId, .configEvents).filter {
      $0.type == "martlet.config.reported"
    }
    #expect(reported.map { $0.json["status"] } == ["IN_PROGRESS", "REJECTED"])
    try await world.fixture.uplink(
      Identifier.randomDeviceId(), [report(artefact, .accepted), .published(revision: 9)])
  }

  /// A device that begins anew is at work, and converges once.
  @Test func theNewestReportIsShown() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    _ = try await world.bind(artefact)
    let deviceId = world.device.deviceId
    let begun = Date.now
    try await world.fixture.uplink(
      deviceId, [.published(revision: 1), report(artefact, .inProgress)], at: begun)
    try await world.fixture.uplink(deviceId, [report(artefact, .accepted)], at: begun + 1)
    try await world.fixture.uplink(deviceId, [report(artefact, .inProgress)], at: begun)
    #expect(try await world.state()?["status"] == "ACCEPTED", "a late repeat of what was read before")
    try await world.fixture.uplink(deviceId, [report(artefact, .inProgress)], at: begun + 2)
    #expect(try await world.state()?["status"] == "IN_PROGRESS")
    #expect(try await world.state()?["reported"]?["status"] == "IN_PROGRESS")
    try await world.fixture.uplink(deviceId, [report(artefact, .accepted)], at: begun + 3)
    #expect(try await world.state()?["status"] == "ACCEPTED")
    let types = try await world.fixture.outbox(deviceId, .configEvents).map(\.type)
    #expect(types.filter { $0 == "martlet.config.converged" }.count == 1)
    #expect(types.filter { $0 == "martlet.config.reported" }.count == 4)
  }

  @Test func whatCannotBeReadIsSetAside() async throws {
    let world = try await World()
    func message(_ type: String, _ value: String) -> KafkaMessage {
      KafkaMessage(
        topic: "t", partition: 0, offset: 0, key: Array(world.device.deviceId.utf8), value: Array(value.utf8),
        headers: [KafkaHeader(EventHeader.type, type)])
    }
    let rejected = try await world.fixture.apply([
      message("martlet.uplink.reported", "{"), message("martlet.uplink.published", #"{"revision":"x"}"#),
      message("martlet.uplink.status", "{"), message("martlet.uplink.ofTheFuture", "{"),
    ])
    #expect(rejected.count == 2)
  }

  /// Whoever lost it while the device was away: when it comes, it gets what it should have.
  @Test func aDeviceThatComesGetsWhatWasConfirmedLongAgo() async throws {
    let world = try await World(on: .fresh())
    let deviceId = world.device.deviceId
    let artefact = try await world.artefact()
    _ = try await world.bind(artefact)
    func sentAgain() async throws -> Int {
      try await world.fixture.outbox(deviceId, .deviceDownlink).count - 1
    }
    try await world.fixture.uplink(deviceId, [.published(revision: 1)], at: .now - 3000)
    try await world.fixture.uplink(deviceId, [.presence(online: true)])
    #expect(try await sentAgain() == 0, "the broker has it")
    try await world.fixture.runtime.database.query(
      "UPDATE device_configuration SET confirmed_at = now() - interval '2 h'")
    try await world.fixture.uplink(deviceId, [.presence(online: false)])
    #expect(try await sentAgain() == 0, "one that goes needs nothing")
    try await world.fixture.uplink(deviceId, [.presence(online: true)])
    #expect(try await sentAgain() == 1)
    try await world.fixture.uplink(deviceId, [.presence(online: true)])
    #expect(try await sentAgain() == 1, "it is on its way")
    try await world.fixture.uplink(deviceId, [.published(revision: 1), report(artefact, .accepted)])
    try await world.fixture.runtime.database.query(
      "UPDATE device_configuration SET confirmed_at = now() - interval '2 h'")
    try await world.fixture.uplink(deviceId, [.presence(online: true)])
    #expect(try await sentAgain() == 1, "it has it")
  }

  /// Level, not edge: what the broker has not confirmed is sent again when it is due, by one of two replicas.
  @Test func anUnconfirmedDocumentIsSentAgain() async throws {
    let world = try await World(on: .fresh())
    let deviceId = world.device.deviceId
    _ = try await world.bind(try await world.artefact())
    let database = world.fixture.runtime.database
    func makeDue() async throws {
      try await database.query(
        "UPDATE device_configuration SET next_attempt_at = now() - interval '10 ms' WHERE device_id = \(deviceId) AND next_attempt_at > now()"
      )
    }
    func sent() async throws -> [JSON] {
      try await world.fixture.outbox(deviceId, .deviceDownlink).map(\.json)
    }
    _ = try await world.fixture.service.sendDue(limit: 1000)
    #expect(try await sent().count == 1, "not due yet")
    try await makeDue()
    async let one = world.fixture.service.sendDue(limit: 1000)
    async let two = world.fixture.service.sendDue(limit: 1000)
    _ = try await (one, two)
    #expect(try await sent().count == 2)
    #expect(try await sent()[0] == sent()[1], "the same document, the same revision")
    try await world.fixture.uplink(deviceId, [.published(revision: 1)])
    try await makeDue()
    _ = try await world.fixture.service.sendDue(limit: 1000)
    #expect(try await sent().count == 2, "confirmed")
    // Two hours on, the broker has saved it long ago.
    let confirmed = Date.now
    try await world.fixture.uplink("", [.brokerConnected], at: confirmed + 7200)
    #expect(try await world.fixture.service.doubtTheBroker(limit: 1000) == 0)
    try await database.query("DELETE FROM broker_start")
    // The same confirmation once more is from before the loss, however late it is read.
    try await world.fixture.uplink("", [.brokerConnected], at: confirmed + 1)
    #expect(try await world.fixture.service.doubtTheBroker(limit: 1000) == 1)
    try await world.fixture.uplink(deviceId, [.published(revision: 1)], at: confirmed - 1)
    #expect(try await world.fixture.service.doubtTheBroker(limit: 1000) == 0, "it is due already")
    try await makeDue()
    _ = try await world.fixture.service.sendDue(limit: 1000)
    #expect(try await sent().count == 3, "a broker that is new may have forgotten it")
    try await world.fixture.uplink(deviceId, [.published(revision: 1)], at: confirmed + 10)
    #expect(try await world.fixture.service.doubtTheBroker(limit: 1000) == 0, "confirmed since")
    let open = try await database.query(
      "SELECT count(*) FROM device_configuration WHERE device_id = \(deviceId) AND next_attempt_at IS NOT NULL"
    )
    #expect(try open.first?.decode(Int.self) == 0)
  }

  /// A device that the registry no longer has, and one that took over its deviceId.
  @Test func aDeviceThatIsGoneBreaksNothing() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let binding = try await world.bind(artefact).json["id"]?.string ?? ""
    let database = world.fixture.runtime.database
    try await database.query("DELETE FROM directory_device WHERE id = \(world.device.id)")
    #expect(try await world.ask(.get, "/api/v1/devices/\(world.device.deviceId)/desired-state").status == 404)
    try await world.fixture.uplink(world.device.deviceId, [report(artefact, .accepted)])
    let heir = DeviceEntity(
      id: .v7(), deviceId: world.device.deviceId, mcuId: "heir", soc: "esp32", boardId: world.board,
      organisationId: world.ours, rev: 1)
    try await world.add(heir)
    let before = try await world.ask(.get, "/api/v1/devices/\(heir.deviceId)/desired-state").json
    #expect(before["slots"] == [:], "not what its predecessor had")
    #expect(try await world.bind(artefact, to: heir).status == 201)
    let after = try await world.ask(.get, "/api/v1/devices/\(heir.deviceId)/desired-state").json
    #expect(after["slots"]?["wifi"]?["artefactId"] == artefact["id"])
    #expect(try await world.ask(.delete, "/api/v1/desired-state-bindings/\(binding)").status == 204)
    #expect(try await world.state()?["artefactId"] == artefact["id"], "the heir keeps its own")
  }

  @Test func onlyTheirOwn() async throws {
    let world = try await World()
    let path = "/api/v1/devices/\(world.device.deviceId)/desired-state"
    #expect(try await world.ask(.get, path, key: nil).status == 401)
    #expect(try await world.ask(.get, path, key: world.theirKey).status == 404)
    #expect(try await world.ask(.get, path, key: World.rootKey).status == 200)
    #expect(try await world.ask(.get, "/api/v1/devices/unknown/desired-state").status == 404)
    #expect(try await world.ask(.delete, path).status == 405)
  }

  private func report(_ artefact: JSON, _ status: ReportedSlot.Status, message: String? = nil) -> Uplink {
    .reported([
      "wifi": ReportedSlot(
        version: Int(artefact["version"]?.int ?? 0), sha256: artefact["sha256"]?.string ?? "", status: status,
        message: message)
    ])
  }
}
