import ConfigDomain
import FoundationEssentials
import Kafka
import Postgres
import TestSupport
import Testing
import Wire

@testable import ConfigService

@Suite struct BindCommandTests {
  private static let hash = String(repeating: "a", count: 64)

  private func report(_ artefact: JSON, _ status: ReportedSlot.Status, path: String = "wifi") -> Uplink {
    .reported([
      path: ReportedSlot(
        version: artefact["version"]?.int.map { Int($0) } ?? 0, sha256: artefact["sha256"]?.string ?? "",
        status: status,
        message: status == .rejected ? "no room" : nil)
    ])
  }

  @Test func boundSentAtWorkAndDone() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let id = try await world.order(.bind, ["artefactId": artefact["id"] ?? .null], by: "ada")
    #expect(try await world.answers(id) == [])
    let binding = try await world.ask(.get, "\(World.bindings)?slot=wifi").json["items"]?.array?.first
    #expect(binding?["updatedBy"] == "ada")
    let history = try await world.ask(.get, "\(World.bindings)/\(binding?["id"]?.string ?? "")/history").json
    #expect(history["items"]?.array?.map { $0["by"] } == ["ada"])
    try await world.fixture.uplink(world.device.deviceId, [.published(revision: 1)])
    #expect(try await world.answers(id) == ["SENT"])
    try await world.fixture.uplink(world.device.deviceId, [report(artefact, .inProgress)])
    try await world.fixture.uplink(world.device.deviceId, [report(artefact, .accepted)])
    try await world.fixture.uplink(
      world.device.deviceId, [report(artefact, .accepted), .published(revision: 1)])
    #expect(try await world.answers(id) == ["SENT", "ACKNOWLEDGED", "SUCCESS"])
    // Already so: done at once, and nothing is sent again.
    let documents = try await world.documents(of: world.device).count
    let again = try await world.order(.bind, ["artefactId": artefact["id"] ?? .null])
    #expect(try await world.answers(again) == ["SENT", "SUCCESS"])
    #expect(try await world.documents(of: world.device).count == documents)
  }

  @Test func theDeviceWillNotHaveIt() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let id = try await world.order(.bind, ["artefactId": artefact["id"] ?? .null, "slot": "wifi"])
    try await world.fixture.uplink(world.device.deviceId, [report(artefact, .rejected)])
    #expect(try await world.answers(id) == ["SENT", "FAILED rejected by the device: no room"])
    // A word that comes after changes nothing for the command.
    try await world.fixture.uplink(world.device.deviceId, [report(artefact, .accepted)])
    #expect(try await world.answers(id).count == 2)
    var wrong = artefact.object ?? [:]
    wrong["sha256"] = .string(Self.hash)
    let next = try await world.artefact(["ssid": "z"])
    wrong["version"] = next["version"]
    let other = try await world.order(.bind, ["artefactId": next["id"] ?? .null])
    // One that was said before this version was there may have had its number by chance.
    try await world.fixture.uplink(world.device.deviceId, [report(.object(wrong), .accepted)], at: .now - 60)
    #expect(try await world.answers(other) == [])
    let third = try await world.artefact(["ssid": "y"])
    wrong["version"] = third["version"]
    let last = try await world.order(.bind, ["artefactId": third["id"] ?? .null])
    let message = KafkaMessage(
      topic: KafkaTopic.deviceUplink.rawValue, partition: 0, offset: 0,
      key: Array(world.device.deviceId.utf8), value: report(.object(wrong), .accepted).json.bytes,
      headers: [KafkaHeader(EventHeader.type, Uplink.Kind.reported.rawValue)],
      timestamp: Int64(Date.now.timeIntervalSince1970 * 1000) + 1000)
    #expect(try await world.fixture.apply([message]).isEmpty)
    #expect(try await world.answers(last).last?.hasPrefix("FAILED hashMismatch by the device") == true)
  }

  @Test func whatCannotBeDoneIsRefusedAndNothingOfItIsDone() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let foreign = try await world.artefact(
      of: Profile(type: .device, id: world.board), ["x": 1], version: 7, in: .v7())
    let otherBoard = try await world.artefact(
      of: Profile(type: .device, id: .v7()), ["x": 1], slot: "radio", version: 1)
    for (action, params, code) in [
      (.bind, ["artefactId": .string(UUID.v7().text)], "unknownArtefact"),
      (.bind, ["artefactId": foreign["id"] ?? .null], "unknownArtefact"),
      (.bind, ["artefactId": artefact["id"] ?? .null, "slot": "radio"], "wrongSlot"),
      (.bind, ["artefactId": otherBoard["id"] ?? .null], "notFitting"),
      (.bind, ["artefactId": artefact["id"] ?? .null, "component": "imu9"], "unknownComponent"),
      (.bind, ["artefactId": 7], "params"), (.unbind, ["slot": "wifi"], "notBound"),
    ] as [(BindingRequest.Action, JSON, String)] {
      let id = try await world.order(action, params)
      let answers = try await world.answers(id)
      #expect(answers.count == 1 && answers.first?.hasPrefix("FAILED \(code):") == true, "\(answers)")
    }
    #expect(try await world.ask(.get, World.bindings).json["items"] == [])
    #expect(try await world.documents(of: world.device).isEmpty)
  }

  @Test func itIsDoneOnceHoweverOftenItIsAskedFor() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let (one, two) = (try await world.artefact(["ssid": "1"]), try await world.artefact(["ssid": "2"]))
    let id = try await world.order(.bind, ["artefactId": artefact["id"] ?? .null])
    for item in [one, two] { _ = try await world.order(.bind, ["artefactId": item["id"] ?? .null]) }
    #expect(try await world.answers(id).first?.hasPrefix("FAILED superseded:") == true)
    let documents = try await world.documents(of: world.device).count
    _ = try await world.order(.bind, ["artefactId": artefact["id"] ?? .null], id: id)
    #expect(try await world.documents(of: world.device).count == documents)
    #expect(try await world.answers(id).count == 1)
  }

  @Test func lateOrWithdrawnItIsNotBegun() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let late = try await world.order(
      .bind, ["artefactId": artefact["id"] ?? .null], deliverBy: Date.now - 1)
    #expect(try await world.answers(late) == [])
    let id = UUID.v7()
    let request = world.request(.bind, ["artefactId": artefact["id"] ?? .null], id: id)
    try await world.hand([request, .withdraw(commandId: id), request])
    try await world.fixture.drain()
    #expect(try await world.answers(id) == [])
    #expect(try await world.ask(.get, World.bindings).json["items"] == [])
  }

  @Test func unboundWhereNothingIsLeft() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    _ = try await world.bind(artefact)
    try await world.fixture.uplink(
      world.device.deviceId, [.published(revision: 1), report(artefact, .accepted), .presence(online: false)])
    let id = try await world.order(.unbind, ["slot": "wifi"], by: "ada")
    #expect(try await world.state() == nil)
    try await world.fixture.uplink(world.device.deviceId, [.published(revision: 2)])
    #expect(try await world.answers(id) == ["SENT"])
    try await world.fixture.uplink(world.device.deviceId, [.presence(online: true)])
    #expect(try await world.answers(id) == ["SENT", "SUCCESS"])
  }

  @Test func unboundWhereAnotherTakesItsPlace() async throws {
    let world = try await World()
    let device = world.device
    let (general, own) = (try await world.artefact(), try await world.artefact(["ssid": "own"]))
    try await world.bound(general, .deviceProfile, world.board)
    _ = try await world.bind(own)
    try await world.fixture.uplink(device.deviceId, [.published(revision: 2), report(own, .accepted)])
    let id = try await world.order(.unbind, ["slot": "wifi"])
    try await world.fixture.uplink(device.deviceId, [.published(revision: 3), .presence(online: true)])
    #expect(try await world.answers(id) == ["SENT"])
    try await world.fixture.uplink(device.deviceId, [report(general, .inProgress)])
    try await world.fixture.uplink(device.deviceId, [report(general, .accepted)])
    #expect(try await world.answers(id) == ["SENT", "ACKNOWLEDGED", "SUCCESS"])
  }

  /// What else is bound meanwhile ends a command, whoever bound it.
  @Test func supersededByAnotherChange() async throws {
    let world = try await World()
    let (mine, other) = (try await world.artefact(), try await world.artefact(["ssid": "other"]))
    let id = try await world.order(.bind, ["artefactId": mine["id"] ?? .null])
    _ = try await world.bind(other)
    #expect(try await world.answers(id).first?.hasPrefix("FAILED superseded:") == true)
    let gone = try await world.order(.unbind, ["slot": "wifi"])
    _ = try await world.bind(mine)
    #expect(try await world.answers(gone).last?.hasPrefix("FAILED superseded:") == true)
  }

  @Test func componentsAreBoundByKeyAndMoreSpecificOnesStandBefore() async throws {
    let world = try await World()
    let profile = try await world.sensorProfile()
    let device = try await world.newDevice(components: [("imu0", profile), ("imu1", profile)])
    let sensor = Profile(type: .sensor, id: profile)
    let (both, one) = (
      try await world.artefact(of: sensor, ["x": 1], slot: "classifier"),
      try await world.artefact(of: sensor, ["x": 2], slot: "classifier", version: 2)
    )
    let all = try await world.order(.bind, ["artefactId": both["id"] ?? .null], to: device)
    try await world.fixture.uplink(
      device.deviceId, [.published(revision: 1), report(both, .accepted, path: "imu0/classifier")])
    #expect(try await world.answers(all, device) == ["SENT", "ACKNOWLEDGED"])
    try await world.fixture.uplink(device.deviceId, [report(both, .accepted, path: "imu1/classifier")])
    #expect(try await world.answers(all, device) == ["SENT", "ACKNOWLEDGED", "SUCCESS"])
    for component in ["imu0", device.components.last?.id.text ?? ""] {
      let id = try await world.order(
        .bind, ["artefactId": one["id"] ?? .null, "component": .string(component)], to: device)
      #expect(try await world.answers(id, device) == [])
    }
    #expect(try await world.slots(of: device).values.allSatisfy { $0 == one["id"] })
    let outranked = try await world.order(
      .bind, ["artefactId": both["id"] ?? .null, "priority": 9], to: device)
    #expect(try await world.answers(outranked, device).first?.hasPrefix("FAILED outranked:") == true)
  }

  /// Of two replicas each does what the other has not in hand; of one device in the order of asking.
  @Test func twoReplicasDoEachOnceAndInOrder() async throws {
    let world = try await World()
    let twin = try await Fixture(url: world.fixture.runtime.settings.databaseURL)
    let devices = try await (0..<8).asyncMap { _ in try await world.newDevice() }
    let artefacts = try await (0..<5).asyncMap { try await world.artefact(["n": .int(Int64($0))]) }
    var requests: [(DeviceEntity, ConfigRequest)] = []
    for artefact in artefacts {
      requests += devices.map { ($0, world.request(.bind, ["artefactId": artefact["id"] ?? .null], to: $0)) }
    }
    try await world.hand(requests.map(\.1))
    async let mine: Void = world.fixture.drain()
    async let its: Void = twin.drain()
    _ = try await (mine, its)
    for device in devices {
      #expect(try await world.slots(of: device)["wifi"] == artefacts.last?["id"])
      let told = try await world.fixture.outbox(device.deviceId, .configEvents)
      let versions = told.filter { $0.type.hasPrefix("martlet.config.binding") }.map {
        $0.json["version"]?.int
      }
      #expect(versions == artefacts.map { $0["version"]?.int })
    }
  }
}

extension Fixture {
  /// Until that, or nothing, is to be done, whoever does it: other tests have the same tables.
  fileprivate func drain(_ id: UUID? = nil) async throws {
    repeat {
      _ = try await service.carryOutNextRequest()
    } while try await runtime.database.query(
      "SELECT FROM binding_command WHERE state = 'NEW' AND command_id = COALESCE(\(id)::uuid, command_id) LIMIT 1"
    ).count > 0
  }
}

extension World {
  fileprivate func request(
    _ action: BindingRequest.Action, _ params: JSON, to device: DeviceEntity? = nil, by name: String = "test",
    id: UUID = .v7(), deliverBy: Date = .now + 30
  ) -> ConfigRequest {
    let device = device ?? self.device
    return .bind(
      BindingRequest(
        commandId: id, action: action, organisationId: ours, deviceId: device.deviceId,
        deviceRecord: device.id,
        params: params, by: name, deliverBy: deliverBy, followUntil: deliverBy + 60))
  }

  /// Hands requests to the consumer's code, in a transaction.
  fileprivate func hand(_ requests: [ConfigRequest]) async throws {
    let messages = requests.map { request in
      let event = request.event(deviceId: device.deviceId, traceparent: nil)
      return KafkaMessage(
        topic: KafkaTopic.configRequests.rawValue, partition: 0, offset: 0, key: Array(device.deviceId.utf8),
        value: event.payload, headers: [KafkaHeader(EventHeader.type, event.type)], timestamp: 1000)
    }
    let inbox = BindingInbox(service: fixture.service)
    let rejected = try await fixture.runtime.database.withTransaction {
      try await inbox.apply(messages, $0).rejected
    }
    if !rejected.isEmpty { throw TestSupportError("rejected: \(rejected.map(\.reason))") }
  }

  /// Asks for it, and has it done.
  fileprivate func order(
    _ action: BindingRequest.Action, _ params: JSON, to device: DeviceEntity? = nil, by name: String = "test",
    id: UUID = .v7(), deliverBy: Date = .now + 30
  ) async throws -> UUID {
    try await hand([request(action, params, to: device, by: name, id: id, deliverBy: deliverBy)])
    try await fixture.drain(id)
    return id
  }

  /// What the command was told, in order.
  fileprivate func answers(_ id: UUID, _ device: DeviceEntity? = nil) async throws -> [String] {
    try await fixture.outbox((device ?? self.device).deviceId, .deviceUplink)
      .filter { $0.json["id"]?.string == id.text }.map { item in
        let status = item.json["status"]?.string ?? ""
        guard let error = item.json["error"] else { return status }
        let by = item.json["byDevice"] == true ? " by the device" : ""
        return "\(status) \(error["code"]?.string ?? "")\(by): \(error["message"]?.string ?? "")"
      }
  }
}

extension Sequence where Element: Sendable {
  fileprivate func asyncMap<T: Sendable>(_ transform: (Element) async throws -> T) async throws -> [T] {
    var all: [T] = []
    for element in self { all.append(try await transform(element)) }
    return all
  }
}
