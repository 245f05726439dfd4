import Foundation
import MQTT
import TestSupport
import Testing
import Wire

extension EndToEnd {
  @Suite struct DownlinkTests {
    @Test func aCommandReachesItsDevice() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [.command])
      let sent = command()
      let traceparent = TraceContext().traceparent
      try await stack.send([(device.id, .command(sent))], traceparent: traceparent)
      try await eventually("the command is there") { !device.messages.isEmpty }
      let message = try #require(device.messages.first)
      #expect(message.topic == "martlet/v1/\(device.id)/command")
      #expect(message.payload == sent.message.bytes)
      #expect(message.properties.correlationData == Array(sent.id.text.utf8))
      #expect(message.properties.responseTopic == "martlet/v1/\(device.id)/command/status")
      #expect(message.properties.contentType == "application/json")
      #expect(message.properties[user: "traceparent"] == traceparent)
      let expiry = try #require(message.properties.messageExpiry)
      #expect((50...61).contains(expiry))
      try await eventually("the report is there") {
        stack.records.uplinks(device.id) == [.sent(id: sent.id, by: "bridge-1")]
      }
      let report = try #require(stack.records.all(.deviceUplink, key: device.id).first)
      #expect(report.header(EventHeader.traceparent) == traceparent)
      #expect(report.header(EventHeader.source) == "/martlet/bridge")
      #expect(report.header(EventHeader.specVersion) == "1.0")
      #expect(report.header(EventHeader.id)?.isEmpty == false)
    }

    /// Before what it answers, in one record; one that says nothing is told of all the same.
    @Test func aReportWaitsForTheAnswerOfItsDevice() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [.command])
      let silent = try await stack.device(topics: [.command])
      let traceparent = TraceContext().traceparent
      let sent = (0..<20).map { _ in command() }
      let answering = Task {
        for (index, command) in sent.enumerated() {
          try await eventually("it is there") { device.messages.count > index }
          for status in [DeviceStatus.acknowledged, .success] {
            device.session.publishDetached(
              MQTTMessage(
                topic: DeviceTopic.commandStatus.of(device.id),
                payload: Uplink.status(CommandAnswer(id: command.id, status: status)).json.bytes))
          }
        }
      }
      for command in sent {
        try await stack.send(
          [(device.id, .command(command)), (silent.id, .command(command))], traceparent: traceparent)
        try await eventually("it is told") {
          stack.records.uplinks(device.id).count { $0.kind == .status } >= 2
            && stack.records.uplinks(silent.id).contains(.sent(id: command.id, by: "bridge-1"))
        }
      }
      try await answering.value
      try await eventually("all are told") { stack.records.uplinks(device.id).count == 60 }
      for command in sent {
        #expect(
          stack.records.uplinks(device.id).filter { $0.commandId == command.id } == [
            .sent(id: command.id, by: "bridge-1"),
            .status(CommandAnswer(id: command.id, status: .acknowledged)),
            .status(CommandAnswer(id: command.id, status: .success)),
          ])
      }
      #expect(stack.records.uplinks(silent.id).allSatisfy { $0.kind == .sent })
      // On a busy machine not each time.
      let records = stack.records.all(.deviceUplink, key: device.id)
      #expect(records.contains { $0.header(EventHeader.type) == Uplink.Kind.series.rawValue })
      #expect(records.allSatisfy { [nil, traceparent].contains($0.header(EventHeader.traceparent)) })
    }

    @Test func whatBecomesOfTheOthers() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let (nobody, late) = (Identifier.randomDeviceId(), Identifier.randomDeviceId())
      let listener = try await stack.device(topics: [.commandReceipt, .command])
      let unheard = command()
      let expired = command(seconds: -1)
      let after = command()
      try await stack.send([
        (nobody, .command(unheard)), (late, .command(expired)),
        (listener.id, .receipt(id: unheard.id, status: .success)), (listener.id, .command(after)),
      ])
      try await eventually("nobody listens") {
        stack.records.uplinks(nobody) == [.undelivered(id: unheard.id, reason: .noSubscriber, by: "bridge-1")]
      }
      try await eventually("too late") {
        stack.records.uplinks(late) == [.undelivered(id: expired.id, reason: .expired, by: "bridge-1")]
      }
      try await eventually("the receipt, then the command") { listener.messages.count == 2 }
      #expect(
        listener.messages.map(\.topic) == [
          DeviceTopic.commandReceipt.of(listener.id), DeviceTopic.command.of(listener.id),
        ])
      try await eventually("only the command is reported") {
        stack.records.uplinks(listener.id) == [.sent(id: after.id, by: "bridge-1")]
      }
      let metrics = try await bridge.get("metrics")
      #expect(metrics.contains(#"martlet_bridge_undelivered_total{reason="expired"} 1"#))
      #expect(metrics.contains(#"martlet_bridge_downlinks_total{kind="receipt"} 1"#))
    }

    @Test func theDesiredDocumentIsRetained() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let id = Identifier.randomDeviceId()
      let documents = (1...3).map { #"{"revision":\#($0),"slots":{}}"# }
      try await stack.send(
        documents.enumerated().map { index, text in
          (id, .desired(revision: Int64(index + 1), document: Array(text.utf8)))
        })
      try await eventually("all are reported") {
        stack.records.uplinks(id) == (1...3).map { Uplink.published(revision: $0) }
      }
      let device = try await stack.device(id, topics: [.desired])
      try await eventually("the last one is there") { !device.messages.isEmpty }
      #expect(device.messages.map { String(decoding: $0.payload, as: UTF8.self) } == [documents[2]])
      #expect(device.messages.first?.retain == true)
    }

    @Test func whatCannotBeReadStopsNothing() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [.command])
      let good = command()
      try await stack.garbage(key: device.id)
      try await stack.send([(device.id, .command(good))])
      try await eventually("the good one is there") { device.messages.count == 1 }
      try await eventually("the bad one is set aside") {
        stack.records.all(.deadLetter, key: device.id).count == 1
      }
      let letter = try JSON(parsing: stack.records.all(.deadLetter, key: device.id)[0].value ?? [])
      #expect(letter["origin"]?.string?.hasPrefix("martlet.device.downlink/") == true)
    }

    @Test func aRestartInOrderLosesAndRepeatsNothing() async throws {
      let stack = try await BridgeStack.make()
      let first = try await stack.startBridge()
      let device = try await stack.device(topics: [.command])
      let ids = (0..<400).map { _ in UUID.v7() }
      let sending = Task {
        for start in stride(from: 0, to: ids.count, by: 10) {
          try await stack.send(ids[start..<(start + 10)].map { (device.id, .command(command($0))) })
          try await Task.sleep(for: .milliseconds(5))
        }
      }
      try await eventually("it has begun") { device.messages.count > 50 }
      let start = ContinuousClock.now
      first.process.stop()
      #expect(ContinuousClock.now - start < .seconds(10))
      let second = try await stack.startBridge(isReady: false)
      defer { second.process.stop() }
      try await sending.value
      try await eventually("all are there") { device.messages.count >= ids.count }
      let received = device.messages.compactMap { message in
        message.properties.correlationData.flatMap { UUID(text: String(decoding: $0, as: UTF8.self)) }
      }
      #expect(received == ids)
      try await eventually("all are reported") { stack.records.uplinks(device.id).count >= ids.count }
      let sent = stack.records.uplinks(device.id).compactMap {
        if case .sent(let id, _) = $0 { id } else { nil }
      }
      #expect(sent == ids)
    }

    @Test func endingDoesNotWaitForWhatIsAway() async throws {
      let stack = try await BridgeStack.make(ownKafka: true)
      let bridge = try await stack.startBridge()
      let device = try await stack.device(topics: [.command])
      stack.kafka.signal(SIGSTOP)
      for index in 0..<20 { try await device.send(.state, #"{"n":\#(index)}"#) }
      stack.mosquitto.signal(SIGSTOP)
      try await Task.sleep(for: .milliseconds(500))
      let start = ContinuousClock.now
      bridge.process.stop()
      #expect(ContinuousClock.now - start < .seconds(10))
      #expect(bridge.logText.contains("finishing what is in hand"))
      stack.mosquitto.signal(SIGCONT)
      stack.kafka.signal(SIGCONT)
    }

    @Test func theBrokerIsKilledAndComesBack() async throws {
      let stack = try await BridgeStack.make()
      let bridge = try await stack.startBridge()
      defer { bridge.process.stop() }
      let device = try await stack.device(topics: [.command])
      try await eventually("it is announced") { !stack.records.all(.deviceUplink, key: "bridge").isEmpty }
      let announced = stack.records.all(.deviceUplink, key: "bridge").count
      stack.mosquitto.kill()
      let waits = (0..<50).map { _ in command() }
      let expires = command(seconds: 1)
      try await stack.send((waits + [expires]).map { (device.id, .command($0)) })
      // Longer than the short one lives.
      try await Task.sleep(for: .seconds(2))
      #expect(stack.records.uplinks(device.id).isEmpty)
      try await stack.mosquitto.restart()
      try await eventually("all are reported", within: 40) {
        Set(stack.records.uplinks(device.id).map(\.kind)).contains(.undelivered)
          && stack.records.uplinks(device.id).count >= 51
      }
      #expect(
        stack.records.uplinks(device.id).contains(
          .undelivered(id: expires.id, reason: .expired, by: "bridge-1")))
      try await eventually("it is announced again") {
        stack.records.all(.deviceUplink, key: "bridge").count > announced
      }
    }
  }
}

extension Uplink {
  fileprivate var commandId: UUID? {
    switch self {
    case .sent(let id, _): id
    case .status(let answer): answer.id
    default: nil
    }
  }
}
