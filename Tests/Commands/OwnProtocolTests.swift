import CommandsDomain
import Foundation
import Kafka
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Devices with protocols of their own")
struct OwnProtocolTests {
  /// An organisation with devices of a board of that type and catalogue.
  private struct Site {
    let world: World
    let board: UUID

    init(type: String? = "iotee_device", catalogue: JSONObject = [:]) async throws {
      world = try await World()
      board = .v7()
      try await world.fixture.tell([
        .present(
          .board(
            BoardEntity(
              id: board, organisationId: world.organisation, soc: "soc", isPublic: false, deviceType: type,
              configSchemas: [:], commandCatalogue: catalogue, rev: 1)))
      ])
    }

    func device(_ mcuId: String = "mcu-\(UUID().uuidString.prefix(8))") async throws -> DeviceEntity {
      let device = DeviceEntity(
        id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: mcuId, soc: "soc-\(board.text)",
        boardId: board, organisationId: world.organisation, rev: 1)
      try await world.fixture.tell([.present(.device(device))])
      return device
    }

    func make(_ type: String, _ device: DeviceEntity, _ more: JSONObject = [:]) async throws -> (
      status: Int, json: JSON
    ) {
      var body = more
      body["type"] = .string(type)
      return try await world.ask(.post, "api/v1/devices/\(device.deviceId)/commands", .object(body))
    }

    func made(_ type: String, _ device: DeviceEntity, _ more: JSONObject = [:]) async throws -> String {
      let answer = try await make(type, device, more)
      return try #require(answer.json["id"]?.string, "\(answer.json.text)")
    }

    func show(_ id: String) async throws -> JSON { try await world.ask(.get, "api/v1/commands/\(id)").json }

    func status(_ id: String) async throws -> String? { try await show(id)["status"]?.string }

    /// What the bridge heard on topics, and which of it is set aside.
    func say(_ answers: [(topic: String, text: String)], at time: Date = .now) async throws -> [String] {
      let messages = answers.map { topic, text in
        let event = Uplink.answer(OwnAnswer(topic: topic, text: text)).event(
          deviceId: topic, traceparent: nil, time: time)
        return KafkaMessage(
          topic: event.topic.rawValue, partition: 0, offset: 0, key: Array(event.key.utf8),
          value: event.payload,
          headers: [KafkaHeader(EventHeader.type, event.type), KafkaHeader(EventHeader.time, time.rfc3339)],
          timestamp: Int64(time.timeIntervalSince1970 * 1000))
      }
      let inbox = UplinkInbox(service: world.fixture.service)
      return try await world.fixture.runtime.database.applying {
        try await inbox.apply(messages, $0).rejected.map(\.reason)
      }
    }

    func downlinks(_ device: DeviceEntity) async throws -> [JSON] {
      try await world.fixture.outbox(device.deviceId, .deviceDownlink).map(\.json)
    }
  }

  private func ack(_ device: DeviceEntity) -> String { "iotee/dev/\(device.mcuId)/ack" }

  @Test func theShippedCatalogue() async throws {
    let site = try await Site()
    let device = try await site.device()
    let id = try await site.made("lock", device)
    let sent = try #require(try await site.downlinks(device).first)
    let topic = "iotee/dev/\(device.mcuId)/rls"
    #expect(sent["own"]?["topic"]?.string == topic && sent["own"]?["payload"] == "1")
    #expect(sent["own"]?["answerFilter"] == "iotee/dev/+/ack")
    #expect(try await site.show(id)["topic"]?.string == topic)
    let other = try await site.world.ask(.get, "commands/\(id)").json
    #expect(other["topic"]?.string == topic && other["device_type"] == "iotee_device")
    let refused = try await site.make("REBOOT", device)
    #expect(refused.status == 422)
    #expect(
      refused.json["errors"]?.array?.first?["message"]?.string?.contains("lock, unlock, reboot") == true)
    #expect(try await site.make("lock", device, ["params": ["x": 1]]).status == 422)
  }

  @Test func answersBelongToTheOldest() async throws {
    let site = try await Site()
    let device = try await site.device()
    let lock = try await site.made("lock", device)
    let unlock = try await site.made("unlock", device)
    #expect(try await site.say([(ack(device), " ACK\r\n")]) == [])
    #expect(try await site.status(lock) == "ACKNOWLEDGED")
    #expect(try await site.status(unlock) == "PENDING")
    // Without an ack before it, and both in one batch.
    #expect(try await site.say([(ack(device), "done"), (ack(device), "error"), (ack(device), "done")]) == [])
    #expect(try await site.status(lock) == "SUCCESS")
    let failed = try await site.show(unlock)
    #expect(failed["status"] == "FAILED" && failed["error"]?["code"] == "error")
    #expect(try await site.downlinks(device).count == 2, "no receipts")
  }

  @Test func whatIsNobodysMovesNothing() async throws {
    let site = try await Site()
    let device = try await site.device()
    let before = Date.now.addingTimeInterval(-5)
    let lock = try await site.made("lock", device)
    #expect(
      try await site.say([(ack(device), "finished")]) == ["not one of the words of the device's protocol"])
    #expect(try await site.say([(ack(device), "done")], at: before) == [], "it came before the command")
    #expect(try await site.say([("iotee/dev/other/ack", "done"), (ack(device) + "/x", "done")]) == [])
    #expect(try await site.status(lock) == "PENDING")
    // One that waits for its turn cannot have been answered.
    let held = try await site.made("unlock", device, ["lane": "b", "waitTimeoutMs": 60_000])
    #expect(try await site.say([(ack(device), "done"), (ack(device), "done")]) == [])
    #expect(try await site.status(lock) == "SUCCESS")
    #expect(try await site.status(held) == "PENDING")
  }

  /// It has no other way to be heard from.
  @Test func anyWordOfItsDeviceLetsGoWhatIsHeld() async throws {
    let site = try await Site()
    let device = try await site.device()
    let held = try await site.made("lock", device, ["waitTimeoutMs": 60_000])
    let before = try await site.show(held)
    #expect(try await site.say([("iotee/dev/other/ack", "hello")]) == [])
    #expect(try await site.show(held)["deadline"] == before["deadline"])
    #expect(try await site.say([(ack(device), "hello")]) == [])
    let heard = try await site.show(held)
    #expect(heard["timeline"]?.array?.last?["event"] == "heard", "\(heard.text)")
    #expect(heard["status"] == "PENDING" && heard["deadline"] != before["deadline"])
  }

  @Test func aTopicIsOneTenants() async throws {
    let (site, thief) = (try await Site(), try await Site())
    let device = try await site.device()
    let twin = try await thief.device(device.mcuId)
    let lock = try await site.made("lock", device)
    #expect(try await thief.make("unlock", twin).status == 409)
    #expect(try await site.say([(ack(device), "done")]) == [])
    #expect(try await site.status(lock) == "SUCCESS")
    // Nor by another template that comes to the same.
    let forger = try await Site(
      type: nil,
      catalogue: [
        "open": ["topic": "iotee/dev/{params.who}/rls", "payload": "0"],
        "spy": ["topic": "x/{device_id}", "answerTopic": "iotee/dev/{hardware_id}/ack"],
      ])
    let forged = try await forger.device(device.mcuId)
    #expect(try await forger.make("open", forged, ["params": ["who": .string(device.mcuId)]]).status == 409)
    #expect(try await forger.make("spy", forged).status == 409)
    #expect(try await forger.make("open", forged, ["params": ["who": "nobody"]]).status == 201)
    // When the device is gone its topic is free.
    try await site.world.fixture.tell([
      .deleted(EntityDeletion(kind: .device, id: device.id, rev: 2, organisationId: site.world.organisation))
    ])
    #expect(try await thief.make("unlock", twin).status == 201)
  }

  @Test func injections() async throws {
    let site = try await Site(
      type: nil,
      catalogue: [
        "say": ["topic": "x/{params.zone}/set", "payload": #"{"text":"{params.msg}","n":{params.n}}"#]
      ])
    let device = try await site.device()
    for zone in ["a/#", "+", "a/b", ""] {
      let answer = try await site.make("say", device, ["params": ["zone": .string(zone), "msg": "", "n": 1]])
      #expect(answer.status == 422 && answer.json["errors"]?.array?.first?["pointer"] == "/params/zone")
    }
    let missing = try await site.make("say", device, ["params": ["zone": "a", "msg": "x"]])
    #expect(missing.status == 422 && missing.json["errors"]?.array?.first?["pointer"] == "/params/n")
    #expect(try await site.downlinks(device).isEmpty)
    _ = try await site.made(
      "say", device, ["params": ["zone": "a", "msg": "\"{params.n}\n", "n": .decimal("1.0")]])
    let own = try #require(try await site.downlinks(device).first?["own"])
    #expect(own["topic"] == "x/a/set" && own["payload"]?.string == #"{"text":"\"{params.n}\n","n":1.0}"#)
  }
}
