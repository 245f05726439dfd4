import CommandsDomain
import Foundation
import Kafka
import Postgres
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Commands that config carries out")
struct BindCommandTests {
  private static let bind = BindingRequest.Action.bind.rawValue
  private static let artefact = "0190b7c3-0000-7000-8000-000000000001"

  private func answer(
    _ id: UUID, _ status: BindingAnswer.Status, _ code: String? = nil, isByDevice: Bool = false
  ) -> DeviceReport {
    let fault = code.map { CommandFault(code: $0, message: "why") }
    let answer = BindingAnswer(id: id, status: status, error: fault, isByDevice: isByDevice)
    return .followed(id, CommandOccurrence(answer, at: .now))
  }

  @Test func itGoesToConfigAndNotToTheDevice() async throws {
    let world = try await World()
    let deviceId = world.device.deviceId
    let id = try await world.command([
      "type": .string(Self.bind), "params": ["artefactId": .string(Self.artefact)],
    ])
    let requests = try await world.fixture.outbox(deviceId, .configRequests)
    #expect(requests.map { $0.json["commandId"] } == [.string(id)])
    let request = try BindingRequest(payload: try #require(requests.first).json.bytes)
    #expect((request.action, request.deviceRecord, request.by) == (.bind, world.device.id, "root"))
    #expect(request.organisationId == world.organisation && request.deliverBy < request.followUntil)
    #expect(request.params == ["artefactId": .string(Self.artefact)])
    #expect(try await world.fixture.outbox(deviceId, .deviceDownlink).isEmpty)
    let command = try await world.ask(.get, "api/v1/commands/\(id)").json
    #expect(command["topic"] == .string("martlet/v1/\(deviceId)/desired"))
  }

  /// The answers of config, as the consumer of uplinks reads them; none is confirmed to the device.
  @Test func itsAnswersMoveItAndAreNotConfirmedToTheDevice() async throws {
    let world = try await World()
    let deviceId = world.device.deviceId
    let id = try await world.command(["type": "UNBIND_CONFIG_ARTEFACT", "params": ["slot": "wifi"]])
    let uuid = try #require(UUID(text: id))
    let inbox = UplinkInbox(service: world.fixture.service)
    var seen: [String?] = []
    for status in [BindingAnswer.Status.sent, .acknowledged, .success, .success] {
      let uplink = Uplink.followed(BindingAnswer(id: uuid, status: status))
      let message = KafkaMessage(
        topic: KafkaTopic.deviceUplink.rawValue, partition: 0, offset: 0, key: Array(deviceId.utf8),
        value: uplink.json.bytes, headers: [KafkaHeader(EventHeader.type, uplink.kind.rawValue)],
        timestamp: 1000)
      let rejected = try await world.fixture.runtime.database.applying {
        try await inbox.apply([message], $0).rejected
      }
      #expect(rejected.isEmpty)
      seen.append(try await world.ask(.get, "api/v1/commands/\(id)").json["status"]?.string)
    }
    #expect(seen == ["SENT", "ACKNOWLEDGED", "SUCCESS", "SUCCESS"])
    #expect(try await world.fixture.outbox(deviceId, .deviceDownlink).isEmpty)
  }

  @Test func whyItFailedIsSaidAndARepeatIsNotLate() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(3, device, type: Self.bind)
    try await stored.report([
      (device.deviceId, answer(ids[0], .failed, "unknownArtefact")),
      (device.deviceId, answer(ids[0], .failed, "unknownArtefact")),
      (device.deviceId, answer(ids[1], .failed, "rejected", isByDevice: true)),
    ])
    try await stored.say(.deadlinePassed, [ids[2]], of: device)
    try await stored.report([(device.deviceId, answer(ids[2], .success))])
    let found = try await ids.asyncMap { try await stored.store.find($0, in: nil) }
    #expect(found.map { $0?.state.reason } == ["unknownArtefact", "device", "notDelivered"])
    #expect(found.map { $0?.state.error?.code } == ["unknownArtefact", "rejected", nil])
    #expect(found.map { $0?.state.lateOutcome != nil } == [false, false, true])
  }

  @Test func itTakesNoPlaceAndNeedsNobodyToListen() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    // In one statement they count against each other, as all: the next look gives those that find no place.
    var bound = try await stored.make(10, device, type: Self.bind)
    bound += try await stored.make(10, device, type: Self.bind)
    #expect(try await stored.given(of: device).count == 20)
    let commands = try await stored.make(12, device, lane: "a")
    #expect(try await stored.given(of: device) == bound + commands)
    // Full for this lane, and for the next more, while config is still asked.
    #expect(try await stored.make(1, device, lane: "a").count == 1)
    #expect(try await stored.given(of: device).count == 32)
    let more = try await stored.make(1, device, lane: "b", type: Self.bind)
    try await stored.wait(seconds: 2)
    _ = try await stored.turns()
    #expect(try await stored.given(of: device) == bound + commands + more)

    let away = try await stored.device()
    let refused = try await stored.make(2, away)
    try await stored.say(.undelivered, refused, of: away, why: .noSubscriber)
    try await stored.wait(seconds: -100)
    let other = try await stored.make(1, away, lane: "b", type: Self.bind)
    // Behind one of its lane it waits, as all.
    _ = try await stored.make(1, away, type: Self.bind)
    _ = try await stored.turns()
    #expect(try await stored.given(of: away) == [refused[0]] + other)
  }

  @Test func aBrokersLossAndAReconnectHandItOverNoSecondTime() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(1, device, type: Self.bind)
    try await stored.report([("bridge", .brokerConnected(offset: 9))])
    _ = try await stored.database.query(CommandStore.walk(limit: 100))
    try await stored.report([(device.deviceId, .heard(reconnected: true))])
    try await stored.wait(seconds: 400)
    let records = try await stored.database.withTransaction {
      try await Turns.give(limit: 100, by: Mover("test"), on: $0).records
    }
    #expect(records.isEmpty)
    #expect(try await stored.number("SELECT count(*) FROM waiting_device") == 0)
    // Nor does it hold up what comes after in its lane.
    let next = try await stored.make(1, device, epoch: 9)
    #expect(try await stored.given(of: device) == ids + next)
  }

  @Test func anExclusiveOneHoldsItsLaneUntilTheDeviceHasIt() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let first = try await stored.make(1, device, exclusive: true, type: Self.bind)
    let next = try await stored.make(1, device)
    try await stored.report([(device.deviceId, answer(first[0], .sent))])
    try await stored.wait(seconds: 5)
    #expect(try await stored.turns().isEmpty)
    try await stored.report([(device.deviceId, answer(first[0], .success))])
    #expect(try await stored.turns().map(\.id) == next)
  }

  @Test func oneThatIsGivenUpIsWithdrawn() async throws {
    let world = try await World()
    let body: JSON = ["type": "UNBIND_CONFIG_ARTEFACT", "params": ["slot": "wifi"]]
    let cancelled = try await world.command(body)
    #expect(try await world.ask(.post, "api/v1/commands/\(cancelled)/cancel").status == 200)
    let deleted = try await world.command(body)
    #expect(try await world.ask(.delete, "commands/\(deleted)").status == 200)
    let told = try await world.fixture.outbox(world.device.deviceId, .configRequests)
    #expect(
      told.filter { $0.type == "martlet.binding.withdrawn" }.map { $0.json["commandId"]?.string } == [
        cancelled, deleted,
      ])
    // One that config has answered is not.
    let sent = try await world.command(body)
    try await world.report(sent, .sent)
    #expect(try await world.ask(.delete, "commands/\(sent)").status == 200)
    #expect(try await world.fixture.outbox(world.device.deviceId, .configRequests).count == told.count + 1)
  }

  @Test func aCampaignOfThem() async throws {
    let crowd = try await Crowd(3)
    let campaign = try await crowd.start(
      ["deviceIds": crowd.ids],
      ["type": .string(Self.bind), "params": ["artefactId": .string(Self.artefact)]])
    try await crowd.run(campaign)
    for device in crowd.devices {
      #expect(try await crowd.world.fixture.outbox(device.deviceId, .configRequests).count == 1)
    }
    let commands = try await crowd.commands(campaign)
    let reports = commands.compactMap { command in
      command["id"]?.string.flatMap { UUID(text: $0) }.flatMap { id in
        command["deviceId"]?.string.map { ($0, answer(id, .success)) }
      }
    }
    try await crowd.database.applying { _ = try await crowd.service.apply(reports, on: $0) }
    #expect(try await crowd.read(campaign)["counts"]?["success"] == 3)
  }
}

extension Sequence where Element: Sendable {
  fileprivate func asyncMap<T: Sendable>(_ transform: (Element) async throws -> T) async throws -> [T] {
    var all: [T] = []
    for element in self { all.append(try await transform(element)) }
    return all
  }
}
