import Foundation
import MQTT
import Synchronization
import TestSupport
import Testing
import Wire

@testable import BridgeDomain

@Suite struct AnswerFilterTests {
  @Test func noTwoTakeTheSameTopic() {
    let known = ["iotee/dev/+/ack"]
    #expect(AnswerFilters.additions(["iotee/dev/+/ack"], to: known) == [])
    #expect(
      AnswerFilters.additions(["iotee/dev/x/+", "iotee/+/+/+", "iotee/dev/+/ok"], to: known) == [
        "iotee/dev/+/ok"
      ])
    #expect(AnswerFilters.additions(["a/+/b", "a/c/+", "a/+"], to: []) == ["a/+/b", "a/+"])
    #expect(
      AnswerFilters.cover("iotee/dev/x/ack", by: known) && !AnswerFilters.cover("iotee/dev/+/+", by: known))
    let many = (0..<AnswerFilters.most).map { "t\($0)/+" }
    #expect(AnswerFilters.additions(["one/more/+"], to: many) == [])
  }

  @Test func answersAsTheyCome() {
    let topic = "iotee/dev/HW/ack"
    func translate(_ payload: [UInt8], _ topic: String = topic, isRetained: Bool = false) -> UplinkTranslation
    {
      UplinkTranslation(topic: topic, payload: payload, isRetained: isRetained, traceparent: nil)
    }
    func answer(_ text: String) -> UplinkTranslation {
      .answer(OwnAnswer(topic: topic, text: text), traceparent: nil)
    }
    #expect(translate(Array("done".utf8)) == answer("done"))
    #expect(translate(Array("done\0\0".utf8)) == answer("done"))
    #expect(translate(Array("do\0ne".utf8)) == answer("do\u{FFFD}ne"))
    #expect(translate(Array("done".utf8), isRetained: true) == .ignored)
    #expect(translate([0xFF]) == .rejected(deviceId: nil, reason: "not valid UTF-8"))
    #expect(
      translate(Array(repeating: 65, count: 1025))
        == .rejected(deviceId: nil, reason: "an answer larger than 1024 bytes"))
    #expect(
      translate([], "martlet/v1/x/state")
        == .rejected(deviceId: nil, reason: "not a topic that devices send on"))
  }
}

extension EndToEnd {
  @Suite struct OwnProtocolTests {
    private func lock(
      _ topic: String, _ filter: String, id: UUID = .v7(), turn: Int64 = 0
    ) -> CommandDownlink {
      CommandDownlink(
        id: id, type: "lock", params: [:], lane: "default", expiresAt: .now.addingTimeInterval(60),
        deliverBy: .now.addingTimeInterval(60), turn: CommandTurn(epoch: .max, number: turn),
        own: OwnDelivery(topic: topic, payload: "1", answerFilter: filter))
    }

    @Test func aCommandAndItsAnswer() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let (id, hardware) = (Identifier.randomDeviceId(), UUID().text)
      let topic = "iotee/dev/\(hardware)/rls"
      let inbox = Received()
      let device = MQTTSession(
        configuration: MQTTConfiguration(
          host: "127.0.0.1", port: stack.mosquitto.port, clientId: "own-\(hardware)"), loop: stack.loop,
        subscriptions: [MQTTSubscription(topic)], logger: BridgeStack.logger,
        onMessage: { message in inbox.messages.withLock { $0.append(message) } })
      device.start()
      try await eventually("the device is connected") { device.isConnected }
      let command = lock(topic, "iotee/dev/+/ack")
      try await stack.send([(id, .command(command))])
      try await eventually("it is there") { inbox.messages.withLock { $0.count } == 1 }
      let message = try #require(inbox.messages.withLock { $0.first })
      #expect(message.payload == Array("1".utf8) && (message.properties.messageExpiry ?? 0) > 50)
      try await eventually("it is SENT") {
        stack.records.uplinks(id) == [.sent(id: command.id, by: "bridge-1")]
      }
      let answers = "iotee/dev/\(hardware)/ack"
      for word in ["ack", "done"] {
        _ = try await device.publish(MQTTMessage(topic: answers, payload: Array(word.utf8)))
      }
      try await eventually("both words are there, in order") {
        stack.records.uplinks(answers)
          == ["ack", "done"].map { .answer(OwnAnswer(topic: answers, text: $0)) }
      }
    }

    /// A filter that nobody has subscribed to: the command waits until it is heard, and the first answer is.
    @Test func nothingGoesBeforeItsAnswerIsHeard() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let (id, name) = (Identifier.randomDeviceId(), UUID().text)
      let inbox = Received()
      let device = MQTTSession(
        configuration: MQTTConfiguration(
          host: "127.0.0.1", port: stack.mosquitto.port, clientId: "own-\(name)"), loop: stack.loop,
        subscriptions: [MQTTSubscription("\(name)/1/do")], logger: BridgeStack.logger,
        onMessage: { message in inbox.messages.withLock { $0.append(message) } })
      device.start()
      try await eventually("the device is connected") { device.isConnected }
      let command = lock("\(name)/1/do", "\(name)/+/said")
      var turn: Int64 = 0
      try await eventually("it goes", within: 30) {
        // As the commands service does: what was given back gets its next turn.
        if inbox.messages.withLock({ $0.isEmpty }) {
          let again = lock("\(name)/1/do", "\(name)/+/said", id: command.id, turn: turn)
          try? await stack.send([(id, .command(again))])
          turn += 1
        }
        return stack.records.uplinks(id).contains(.sent(id: command.id, by: "bridge-1"))
      }
      let reports = stack.records.uplinks(id)
      #expect(reports.first == .undelivered(id: command.id, reason: .deaf, by: "bridge-1"))
      _ = try await device.publish(MQTTMessage(topic: "\(name)/1/said", payload: Array("done".utf8)))
      try await eventually("it is heard") {
        stack.records.uplinks("\(name)/1/said")
          == [.answer(OwnAnswer(topic: "\(name)/1/said", text: "done"))]
      }
      // What the native devices say is heard as before.
      let native = try await stack.device(topics: [])
      let status = CommandAnswer(id: .v7(), status: .success)
      try await native.send(.commandStatus, Uplink.status(status).json.text)
      try await eventually("a native answer is there") {
        stack.records.uplinks(native.id).contains(.status(status))
      }
    }
  }

  private final class Received: Sendable {
    let messages = Mutex<[MQTTMessage]>([])
  }
}
