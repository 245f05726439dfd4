import AsyncHTTPClient
import Crypto
import Foundation
import HTTP
import Kafka
import Loop
import Observability
import Runtime
import TestSupport
import Wire

/// A private Kafka with the suite's topics.
final class Bus: Sendable {
  let server: KafkaServer
  private let producer: KafkaProducer
  private let configuration: KafkaConfiguration
  private let loop = EventLoop.start("bus")

  init() async throws {
    server = try await KafkaServer()
    configuration = KafkaConfiguration(bootstrapServers: server.bootstrapServers, clientId: "config-tests")
    producer = try KafkaProducer(configuration: configuration, loop: loop, logger: Self.logger)
    let admin = try KafkaAdmin(configuration: configuration, loop: loop, logger: Self.logger)
    try await admin.createTopics(
      KafkaTopic.allCases.map {
        KafkaNewTopic(name: $0.rawValue, partitions: KafkaTopic.partitions, config: $0.configuration)
      })
  }

  static let logger = Logger(label: "config-tests", level: .error)

  static func hash(of key: String) -> String { SHA256.hash(key).hex }

  func send(_ events: [Event]) async throws {
    let encoder = EventEncoder(service: "tests")
    let deliveries = try await producer.send(
      events.map { encoder.message($0, id: UUID().uuidString, time: .now) })
    for delivery in deliveries { if let error = delivery.error { throw error } }
  }

  /// The first record of a topic with that key.
  func next(_ topic: KafkaTopic, key: String) async throws -> JSON {
    let consumer = try KafkaConsumer(
      configuration: configuration, loop: loop, group: "config-tests-\(UUID())", instanceId: nil,
      topics: [topic.rawValue],
      logger: Self.logger, startOffsets: { _ in [:] })
    let end = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < end {
      for message in try await consumer.nextBatch(maximumCount: 100, wait: .milliseconds(200))
      where message.key == Array(key.utf8) {
        await consumer.close(timeout: .seconds(2))
        return try JSON(parsing: message.value ?? [])
      }
    }
    throw TestSupportError("nothing for \(key) on \(topic.rawValue)")
  }
}

/// The built `martlet-config`, running.
struct Executable: Sendable {
  static let rootKey = "the-root-key"

  let process: ChildProcess
  private let address: String
  private let client = HTTPClient(configuration: HTTPClientConfiguration(), logger: Bus.logger)

  init(bus: Bus) async throws {
    let port = try freePort()
    address = "http://127.0.0.1:\(port)"
    process = try ChildProcess(
      [try Self.path()], log: RunFolder.make("config").appending(path: "config.log"),
      environment: [
        "MARTLET_HTTP_PORT": "\(port)", "MARTLET_KAFKA_BOOTSTRAP": bus.server.bootstrapServers,
        "MARTLET_DATABASE_URL": try await PostgresServer.shared().createDatabase("config"),
        "MARTLET_ROOT_KEY": Self.rootKey,
      ])
    try await eventually("martlet-config answers", within: 30) { [self] in
      (try? await get("/readyz").status) == 200
    }
  }

  func get(_ path: String) async throws -> HTTPClientResponse {
    try await client.execute(.get, url: address + path, headers: [:], body: nil, timeout: .seconds(10))
  }

  func ask(_ path: String, key: String) async throws -> HTTPClientResponse {
    try await client.execute(
      .get, url: address + path, headers: ["X-API-Key": key], body: nil, timeout: .seconds(10))
  }

  func ask(_ method: HTTPMethod, _ path: String, _ body: JSON? = nil) async throws -> JSON {
    let answer = try await client.execute(
      method, url: address + path, headers: ["X-API-Key": "the-key", "Content-Type": "application/json"],
      body: body?.bytes, timeout: .seconds(10))
    guard answer.status < 300 else {
      throw TestSupportError("\(path): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
    }
    return try JSON(parsing: answer.body)
  }

  /// It lies in the build folder, as the test binary does.
  private static func path() throws -> String {
    let places = CommandLine.arguments.filter { $0.contains(".xctest") } + CommandLine.arguments.prefix(1)
    for place in places + ["/proc/self/exe"] {
      var folder = URL(filePath: place).resolvingSymlinksInPath()
      for _ in 0..<4 {
        folder.deleteLastPathComponent()
        let path = folder.appending(path: "martlet-config").path
        if FileManager.default.isExecutableFile(atPath: path) { return path }
      }
    }
    throw TestSupportError("martlet-config is not built")
  }
}
