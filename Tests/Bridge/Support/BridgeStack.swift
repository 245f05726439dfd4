import AsyncHTTPClient
import Foundation
import HTTP
import Kafka
import Loop
import MQTT
import Observability
import Synchronization
import TestSupport
import Wire

/// A broker and a database of a test's own, the test process's Kafka, and bridges between them.
final class BridgeStack: Sendable {
  let mosquitto: MosquittoServer
  let kafka: KafkaServer
  let postgres: PostgresServer
  let databaseURL: String
  let database: String
  let producer: KafkaProducer
  let loop: EventLoop
  /// Everything that came on `martlet.device.uplink` and `martlet.dead-letter` since this was made.
  let records: RecordReader
  static let logger = Logger(label: "test", level: .error)

  private init(_ mosquitto: MosquittoServer, _ kafka: KafkaServer, _ postgres: PostgresServer) async throws {
    self.mosquitto = mosquitto
    self.kafka = kafka
    self.postgres = postgres
    databaseURL = try await postgres.createDatabase("bridge")
    database = String(databaseURL.split(separator: "/").last ?? "")
    let kafkaLoop = EventLoop.start("kafka-test")
    let configuration = KafkaConfiguration(bootstrapServers: kafka.bootstrapServers, clientId: "test")
    let admin = try KafkaAdmin(configuration: configuration, loop: kafkaLoop, logger: Self.logger)
    let topics = KafkaTopic.allCases.map {
      KafkaNewTopic(
        name: $0.rawValue, partitions: KafkaTopic.partitions, replication: 1, config: $0.configuration)
    }
    // A broker that has just started may be too busy to answer the first time.
    try await eventually("the topics are there", within: 90) {
      (try? await admin.createTopics(topics)) != nil
    }
    records = try await RecordReader(configuration, kafkaLoop, admin)
    producer = try KafkaProducer(configuration: configuration, loop: kafkaLoop, logger: Self.logger)
    loop = EventLoop.start("test")
  }

  /// - Parameters:
  ///   - ownKafka: for tests that stop it.
  ///   - change: what the broker's configuration says otherwise.
  static func make(
    ownKafka: Bool = false, _ change: (inout MosquittoServer.Options) -> Void = { _ in }
  ) async throws -> BridgeStack {
    var options = MosquittoServer.Options()
    options.persistence = true
    options.sysInterval = 1
    change(&options)
    return try await BridgeStack(
      MosquittoServer(options), ownKafka ? KafkaServer() : .shared(), .shared())
  }

  /// Starts a bridge and waits until it is ready.
  /// - Parameter settings: more of them, as environment variables.
  func startBridge(
    _ replica: String = "1", isReady: Bool = true, settings: [String: String] = [:]
  ) async throws -> Bridge {
    let bridge = try Bridge(self, replica: replica, settings)
    if isReady { try await bridge.becomesReady() }
    return bridge
  }

  /// A device that listens on these topics.
  func device(_ id: String = Identifier.randomDeviceId(), topics: [DeviceTopic]) async throws -> TestDevice {
    let device = TestDevice(id, self, topics)
    try await eventually("the device is connected") { device.session.isConnected }
    return device
  }

  /// Puts downlinks on Kafka, as a service would.
  func send(_ downlinks: [(device: String, downlink: Downlink)], traceparent: String? = nil) async throws {
    let deliveries = try await producer.send(
      downlinks.map { device, downlink in
        let event = downlink.event(deviceId: device, traceparent: traceparent)
        var headers: KafkaHeaders = [KafkaHeader(EventHeader.type, event.type)]
        if let traceparent { headers.append(EventHeader.traceparent, traceparent) }
        return KafkaProducerMessage(
          topic: event.topic.rawValue, key: Array(event.key.utf8), value: event.payload, headers: headers)
      })
    if let error = deliveries.lazy.compactMap(\.error).first { throw error }
  }

  /// Puts a record on the downlink topic that nobody can read.
  func garbage(key: String) async throws {
    _ = try await producer.send([
      KafkaProducerMessage(
        topic: KafkaTopic.deviceDownlink.rawValue, key: Array(key.utf8), value: Array("no json".utf8),
        headers: [KafkaHeader(EventHeader.type, "martlet.downlink.command")])
    ])
  }
}

/// A command that expires in so many seconds.
func command(
  _ id: UUID = .v7(), type: String = "REBOOT", seconds: Double = 60,
  turn: CommandTurn = CommandTurn(epoch: .max, number: 0)
) -> CommandDownlink {
  CommandDownlink(
    id: id, type: type, params: ["x": 1], lane: "default", expiresAt: Date.now.addingTimeInterval(seconds),
    deliverBy: Date.now.addingTimeInterval(seconds), turn: turn)
}

/// One bridge process.
final class Bridge: Sendable {
  let process: ChildProcess
  let port: Int
  private let log: URL

  init(_ stack: BridgeStack, replica: String, _ settings: [String: String]) throws {
    port = try freePort()
    log = try RunFolder.make("bridge-\(replica)").appending(path: "bridge.log")
    process = try ChildProcess(
      [
        try ProcessInfo.processInfo.environment["MARTLET_MEASURE_BIN"].map { $0 + "/martlet-bridge" }
          ?? Built.path("martlet-bridge"),
        "--http-port", "\(port)", "--kafka-bootstrap",
        stack.kafka.bootstrapServers, "--mqtt-port", "\(stack.mosquitto.port)", "--replica", replica,
      ], log: log,
      environment: settings.merging([
        "MARTLET_DATABASE_URL": stack.databaseURL, "MARTLET_MQTT_PASSWORD": "not-looked-at",
      ]) { $1 })
  }

  var logText: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

  func becomesReady() async throws {
    let client = HTTPClient(configuration: HTTPClientConfiguration(), logger: BridgeStack.logger)
    do {
      try await eventually("the bridge is ready; its log: \(log.path)", within: 30) {
        (try? await client.execute(.get, url: "http://127.0.0.1:\(port)/readyz"))?.status == 200
      }
    } catch {
      await client.shutdown()
      throw error
    }
    await client.shutdown()
  }

  /// A page of its HTTP side.
  func get(_ path: String) async throws -> String {
    let client = HTTPClient(configuration: HTTPClientConfiguration(), logger: BridgeStack.logger)
    let answer = try await client.execute(.get, url: "http://127.0.0.1:\(port)/\(path)")
    await client.shutdown()
    return String(decoding: answer.body, as: UTF8.self)
  }
}

/// A device as a test sees it.
final class TestDevice: Sendable {
  let id: String
  let session: MQTTSession
  private let inbox: Inbox

  init(_ id: String, _ stack: BridgeStack, _ topics: [DeviceTopic]) {
    self.id = id
    let inbox = Inbox()
    session = MQTTSession(
      configuration: MQTTConfiguration(
        host: "127.0.0.1", port: stack.mosquitto.port, clientId: "device-\(id)"),
      loop: stack.loop, subscriptions: topics.map { MQTTSubscription($0.of(id)) }, logger: BridgeStack.logger,
      onMessage: { message in inbox.messages.withLock { $0.append(message) } })
    self.inbox = inbox
    session.start()
  }

  private final class Inbox: Sendable {
    let messages = Mutex<[MQTTMessage]>([])
  }

  var messages: [MQTTMessage] { inbox.messages.withLock { $0 } }

  func send(
    _ topic: DeviceTopic, _ payload: String, retain: Bool = false, traceparent: String? = nil
  ) async throws {
    var message = MQTTMessage(topic: topic.of(id), payload: Array(payload.utf8), retain: retain)
    if let traceparent { message.properties.userProperties = [(EventHeader.traceparent, traceparent)] }
    _ = try await session.publish(message)
  }
}
