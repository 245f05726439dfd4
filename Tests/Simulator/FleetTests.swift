import Foundation
import Loop
import MQTT
import Observability
import Synchronization
import TestSupport
import Testing
import Wire

/// `martlet simulate` against a real Mosquitto, seen from the suite's side.
@Suite(.serialized) struct FleetTests {
  let device = Identifier.randomDeviceId()

  func commandBytes(_ id: UUID) -> [UInt8] {
    CommandDownlink(
      id: id, type: "REBOOT", params: [:], lane: "default", expiresAt: .now.addingTimeInterval(60),
      deliverBy: .now, turn: CommandTurn(epoch: 0, number: 0)
    ).message.bytes
  }

  @Test func itObeysAndDropsRepeats() async throws {
    let suite = try await Suite.make(device)
    let simulator = try suite.simulate()
    defer { simulator.stop() }
    try await suite.isOnline()
    let id = UUID.v7()
    try await suite.publish(.command, commandBytes(id))
    try await eventually("both answers are there") { suite.answers(id) == [.acknowledged, .success] }
    try await suite.publish(.command, commandBytes(id))
    try await eventually("the same answer again") {
      suite.answers(id) == [.acknowledged, .success, .success]
    }
    #expect(Set(suite.messages(.commandStatus).suffix(2).map(\.payload)).count == 1)
    try await eventually("the log is written") { try suite.events("delivery").count == 2 }
    #expect(try suite.events("delivery").map { $0["repeat"]?.bool } == [false, true])
    #expect(try suite.events("execution").map { $0["id"]?.string } == [id.text])
    simulator.stop()
    try await eventually("it said goodbye") {
      suite.messages(.presence).last?.payload == Array(#"{"online":false}"#.utf8)
    }
  }

  @Test(arguments: [
    ("fail", [DeviceStatus.acknowledged, .failed]), ("never", []),
    ("twice", [.acknowledged, .acknowledged, .success, .success]), ("late", [.acknowledged, .success]),
  ])
  func itMisbehaves(_ behaviour: String, _ expected: [DeviceStatus]) async throws {
    let suite = try await Suite.make(device)
    let simulator = try suite.simulate(["--behaviour", "\(device)=\(behaviour)", "--late-ms", "600"])
    defer { simulator.stop() }
    try await suite.isOnline()
    let id = UUID.v7()
    let start = ContinuousClock.now
    try await suite.publish(.command, commandBytes(id))
    try await eventually("it was delivered") { try suite.events("delivery").count == 1 }
    try await eventually("the answers are there") { suite.answers(id).count == expected.count }
    if behaviour == "late" { #expect(ContinuousClock.now - start >= .milliseconds(600)) }
    try await Task.sleep(for: .milliseconds(300))
    #expect(suite.answers(id) == expected)
  }

  @Test func garbageIsNoAnswer() async throws {
    let suite = try await Suite.make(device)
    let simulator = try suite.simulate(["--garbage-percent", "100"])
    defer { simulator.stop() }
    try await suite.isOnline()
    try await suite.publish(.command, commandBytes(.v7()))
    try await eventually("something came") { !suite.messages(.commandStatus).isEmpty }
    #expect(throws: (any Error).self) {
      try Uplink(.status, payload: suite.messages(.commandStatus)[0].payload)
    }
  }

  @Test func itVanishesAndRemembers() async throws {
    let suite = try await Suite.make(device)
    let simulator = try suite.simulate(["--behaviour", "\(device)=offline", "--offline-seconds", "1"])
    defer { simulator.stop() }
    try await suite.isOnline()
    let id = UUID.v7()
    try await suite.publish(.command, commandBytes(id))
    let presence = { suite.messages(.presence).map { String(decoding: $0.payload, as: UTF8.self) } }
    try await eventually("its will, and then it is back") {
      presence().suffix(2) == [#"{"online":false}"#, #"{"online":true}"#] && presence().count >= 3
    }
    try await suite.publish(.command, commandBytes(id))
    try await eventually("it answers") { suite.answers(id).contains(.success) }
    try await eventually("the log is written") { try suite.events("delivery").count >= 2 }
    #expect(try suite.events("execution").count == 1)
  }

  @Test func aCarefulDeviceRepeatsUntilTheReceipt() async throws {
    let suite = try await Suite.make(device)
    let simulator = try suite.simulate(["--careful", "--receipt-ms", "100", "--work-ms", "50"])
    defer { simulator.stop() }
    try await suite.isOnline()
    let id = UUID.v7()
    try await suite.publish(.command, commandBytes(id))
    try await eventually("it repeats") { suite.answers(id).count { $0 == .success } >= 3 }
    try await suite.publish(
      .commandReceipt, (["id": .string(id.text), "status": "SUCCESS"] as JSON).bytes)
    try await eventually("it has the receipt") { try suite.events("receipt").count == 1 }
    let count = suite.answers(id).count
    try await Task.sleep(for: .milliseconds(400))
    #expect(suite.answers(id).count <= count + 1)
  }

  @Test func itFollowsDesiredDocuments() async throws {
    let suite = try await Suite.make(device)
    let simulator = try suite.simulate(["--state-seconds", "1"])
    defer { simulator.stop() }
    try await suite.isOnline()
    func publish(_ revision: Int, _ hash: String) async throws {
      let text =
        #"{"revision":\#(revision),"slots":{"wifi":{"version":\#(revision),"sha256":"\#(hash)","content":{"a":2,"b":1}}}}"#
      try await suite.publish(.desired, Array(text.utf8), retain: true)
    }
    func statuses() throws -> [ReportedSlot.Status] {
      try suite.messages(.reported).compactMap {
        guard case .reported(let slots) = try Uplink(.reported, payload: $0.payload) else { return nil }
        return slots["wifi"]?.status
      }
    }
    try await publish(2, BehaviourTests.hash)
    try await eventually("it is accepted") { try statuses() == [.inProgress, .accepted] }
    try await publish(1, BehaviourTests.hash)
    try await publish(3, String(repeating: "0", count: 64))
    try await eventually("the wrong hash is rejected, the old one ignored") {
      try statuses() == [.inProgress, .accepted, .inProgress, .rejected]
    }
    try await eventually("it sends its state") { !suite.messages(.state).isEmpty }
  }
}

/// The suite's side of the broker, and the simulator's process.
final class Suite: Sendable {
  let device: String
  let mosquitto: MosquittoServer
  let loop = EventLoop.start("suite")
  let log: URL
  private let session: MQTTSession
  private let inbox: Inbox

  final class Inbox: Sendable {
    let messages = Mutex<[MQTTMessage]>([])
  }

  static func make(_ device: String) async throws -> Suite {
    let suite = try await Suite(device, .shared())
    try await eventually("the suite is connected") { suite.session.isConnected }
    return suite
  }

  private init(_ device: String, _ mosquitto: MosquittoServer) throws {
    self.device = device
    self.mosquitto = mosquitto
    log = try RunFolder.make("simulate")
    let inbox = Inbox()
    self.inbox = inbox
    session = MQTTSession(
      configuration: MQTTConfiguration(host: "127.0.0.1", port: mosquitto.port, clientId: "suite-\(device)"),
      loop: loop,
      subscriptions: DeviceTopic.uplinks.map { MQTTSubscription($0.of(device)) },
      logger: Logger(label: "test", level: .error),
      onMessage: { message in inbox.messages.withLock { $0.append(message) } })
    session.start()
  }

  /// Starts `martlet simulate`.
  func simulate(_ flags: [String] = []) throws -> ChildProcess {
    try ChildProcess(
      [
        try Built.path("martlet"), "simulate", "--mqtt-port", "\(mosquitto.port)", "--device", device,
        "--log",
        log.appending(path: "events").path,
      ] + flags, log: log.appending(path: "simulate.log"))
  }

  func isOnline() async throws {
    try await eventually("the device is online; \(log.path)") {
      messages(.presence).contains { $0.payload == Array(#"{"online":true}"#.utf8) }
    }
  }

  func publish(_ topic: DeviceTopic, _ payload: [UInt8], retain: Bool = false) async throws {
    let result = try await session.publish(
      MQTTMessage(topic: topic.of(device), payload: payload, retain: retain))
    #expect(result == .accepted)
  }

  func messages(_ topic: DeviceTopic) -> [MQTTMessage] {
    inbox.messages.withLock { $0.filter { $0.topic == topic.of(device) } }
  }

  func answers(_ id: UUID) -> [DeviceStatus] {
    messages(.commandStatus).compactMap { message in
      guard case .status(let answer)? = try? Uplink(.status, payload: message.payload), answer.id == id else {
        return nil
      }
      return answer.status
    }
  }

  /// The log's lines of one kind.
  func events(_ kind: String) throws -> [JSON] {
    let text = (try? String(contentsOf: log.appending(path: "events"), encoding: .utf8)) ?? ""
    return try text.split(separator: "\n").map { try JSON(parsing: String($0)) }.filter {
      $0["event"]?.string == kind
    }
  }
}
