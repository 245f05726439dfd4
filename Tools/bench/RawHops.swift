import AsyncHTTPClient
import FoundationEssentials
import HTTP
import Kafka
import Loop
import MQTT
import Observability
import Postgres
import Runtime
import Synchronization
import Wire

/// What the steps of a command's way take on this machine by themselves, one after the other, with nothing else going
/// on: the reference that the lifecycles of the same run are held against.
///
/// Machines differ, and a shared one differs from minute to minute: a ratio of one run says more than milliseconds.
struct RawHops: Sendable {
  let http: Duration
  let insert: Duration
  let kafka: Duration
  let mqtt: Duration

  /// One command's way to SUCCESS that is told: POST, stored, Kafka, MQTT to the device and back, Kafka, stored, Kafka.
  var command: Duration { http + insert + kafka + mqtt + mqtt + kafka + insert + kafka }

  var line: String {
    let text = Measurement.milliseconds
    return
      "raw hops, p50 of \(Self.repeats): HTTP \(text(http)), PostgreSQL commit \(text(insert)), Kafka produce to "
      + "consume \(text(kafka)), MQTT \(text(mqtt)) ms; one command's way \(text(command)) ms"
  }

  private static let repeats = 300

  static func measure(_ settings: BenchSettings, on loop: EventLoop, logger: Logger) async throws -> RawHops {
    try await RawHops(
      http: http(settings, logger), insert: insert(settings, loop, logger),
      kafka: kafka(settings, loop, logger),
      mqtt: mqtt(settings, loop, logger))
  }

  /// The median of so many, after some that are not counted.
  private static func median(_ body: () async throws -> Void) async throws -> Duration {
    var times: [Duration] = []
    for number in 0..<(repeats + 30) {
      let start = ContinuousClock.now
      try await body()
      if number >= 30 { times.append(.now - start) }
    }
    return times.sorted()[repeats / 2]
  }

  /// Through the edge to a service that does nothing for it.
  private static func http(_ settings: BenchSettings, _ logger: Logger) async throws -> Duration {
    let client = HTTPClient(logger: logger)
    let time = try await median { _ = try await client.execute(.get, url: settings.url + "/livez") }
    await client.shutdown()
    return time
  }

  /// A row of a command's size, durable when it returns.
  private static func insert(_ settings: BenchSettings, _ loop: EventLoop, _ logger: Logger) async throws
    -> Duration
  {
    let client = PostgresClient(
      configuration: try PostgresConfiguration(
        url: settings.databaseURL, schema: nil, applicationName: "martlet-bench", maximumConnections: 1),
      loop: loop, logger: logger)
    let running = Task { try await client.run() }
    defer { running.cancel() }
    let text = String(repeating: "x", count: 500)
    _ = try await client.query("DROP SCHEMA IF EXISTS bench CASCADE")
    _ = try await client.query("CREATE SCHEMA bench")
    _ = try await client.query(
      "CREATE TABLE bench.hop (id bigserial PRIMARY KEY, payload text)")
    let time = try await median {
      _ = try await client.query("INSERT INTO bench.hop (payload) VALUES (\(text))")
    }
    _ = try await client.query("DROP SCHEMA bench CASCADE")
    return time
  }

  private static func kafka(_ settings: BenchSettings, _ loop: EventLoop, _ logger: Logger) async throws
    -> Duration
  {
    let configuration = KafkaConfiguration(bootstrapServers: settings.kafka, clientId: "martlet-bench-hops")
    let topic = "martlet.bench.hops"
    let admin = try KafkaAdmin(configuration: configuration, loop: loop, logger: logger)
    if try await admin.topics()[topic] == nil {
      try await admin.createTopics([KafkaNewTopic(name: topic, partitions: 1)])
    }
    let end = try await admin.endOffsets(topic: topic, timeout: .seconds(5))[0] ?? 0
    await admin.shutdown()
    let consumer = try KafkaConsumer(
      configuration: configuration, loop: loop, group: "martlet-bench-hops", instanceId: nil, topics: [topic],
      logger: logger,
      startOffsets: { Dictionary(uniqueKeysWithValues: $0.map { ($0, end) }) })
    let producer = try KafkaProducer(configuration: configuration, loop: loop, logger: logger)
    let value = [UInt8](repeating: 0x78, count: 500)
    let time = try await median {
      async let sent = producer.send([KafkaProducerMessage(topic: topic, key: nil, value: value)])
      while try await consumer.nextBatch(maximumCount: 1, wait: .seconds(10)).isEmpty {}
      if let error = try await sent.first?.error { throw error }
    }
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
    return time
  }

  /// One message from publisher to subscriber, QoS 1.
  private static func mqtt(_ settings: BenchSettings, _ loop: EventLoop, _ logger: Logger) async throws
    -> Duration
  {
    let topic = "martlet/bench/\(Identifier.randomDeviceId())"
    let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let reader = try await settings.mqtt.session("reader", [topic], on: loop, logger) { _ in arrived.yield() }
    let writer = try await settings.mqtt.session("writer", [], on: loop, logger)
    let payload = [UInt8](repeating: 0x78, count: 100)
    let time = try await median {
      writer.publishDetached(MQTTMessage(topic: topic, payload: payload))
      _ = await arrivals.first { true }
    }
    await writer.disconnect(timeout: .seconds(3))
    await reader.disconnect(timeout: .seconds(3))
    return time
  }
}
