import AsyncHTTPClient
import Foundation
import HTTP
import Kafka
import Loop
import Observability
import Runtime
import TestSupport
import Testing
import Wire

/// The real program between a real database and a real broker.
@Suite("The registry's process")
struct SmokeTests {
  /// The process, and what its clients do.
  final class Registry: Sendable {
    let process: ChildProcess
    let url: String
    private let client = HTTPClient(configuration: .init(), logger: Logger(label: "test", level: .error))

    init(kafka: String, database: String) throws {
      let port = try freePort()
      url = "http://127.0.0.1:\(port)"
      process = try ChildProcess(
        [try Built.path("martlet-registry"), "--http-port", "\(port)", "--kafka-bootstrap", kafka],
        log: try RunFolder.make("registry").appending(path: "registry.log"),
        environment: ["MARTLET_DATABASE_URL": database, "MARTLET_ROOT_KEY": World.rootKey])
    }

    func send(_ method: HTTPMethod, _ path: String, _ body: JSON? = nil) async throws -> (
      status: Int, json: JSON
    ) {
      let answer = try await client.execute(
        method, url: "\(url)/\(path)",
        headers: ["X-API-Key": World.rootKey, "Content-Type": "application/json"], body: body?.bytes)
      return (answer.status, (try? JSON(parsing: answer.body)) ?? .null)
    }
  }

  @Test("a device is made, published at once, heard from, and removed; SIGTERM ends it well")
  func life() async throws {
    let kafka = try await World.kafka()
    let database = try await PostgresServer.shared().createDatabase("smoke")
    let registry = try Registry(kafka: kafka.bootstrapServers, database: database)
    try await eventually("it is ready") { (try? await registry.send(.get, "readyz").status) == 200 }
    let organisation = try await registry.send(.post, "organisation", ["name": "Smoke"]).json["id"] ?? .null
    let board =
      try await registry.send(
        .post, "board", ["organisationId": organisation, "name": "b", "soc": .string(UUID.v7().text)]
      ).json["id"] ?? .null
    let reader = try await RecordReader(kafka, .registryEntities)
    let made = try await registry.send(
      .post, "device", ["organisationId": organisation, "boardId": board, "mcuId": "m"])
    #expect(made.status == 201)
    let deviceId = try #require(made.json["deviceId"]?.string)
    let key = "device/\(try #require(made.json["id"]?.string))"
    #expect(try await reader.next(key)?["deviceId"]?.string == deviceId, "201 means that Kafka has it")

    let producer = try KafkaProducer(
      configuration: kafka, loop: .start("test"), logger: Logger(label: "test", level: .error))
    let state = Uplink.state(DeviceState(attributes: ["battery": 3]))
    _ = try await producer.send([
      KafkaProducerMessage(
        topic: KafkaTopic.deviceUplink.rawValue, key: Array(deviceId.utf8), value: state.json.bytes,
        headers: [KafkaHeader(EventHeader.type, state.kind.rawValue)])
    ])
    try await eventually("the state is there") {
      try await registry.send(.get, "device/id/\(deviceId)/state").json["attributes"]?["battery"]?["value"]
        == 3
    }
    // A DELETE with a body, over a socket.
    let group = try await registry.send(.post, "group", ["organisationId": organisation, "name": "g"]).json[
      "id"]
    let members = "group/id/\(try #require(group?.string))/device"
    #expect(try await registry.send(.post, members, ["deviceIds": [.string(deviceId)]]).json == ["added": 1])
    #expect(
      try await registry.send(.delete, members, ["deviceIds": [.string(deviceId)]]).json == ["removed": 1])
    #expect(try await registry.send(.delete, "device/id/\(deviceId)").status == 204)
    for _ in 0..<2 { #expect(try await reader.next(key)?["groupIds"] != nil) }
    let end = try await reader.next(key)
    #expect(end?["deleted"] == true && end?["rev"] == 4 && end?["deviceId"]?.string == deviceId)
    #expect(try await registry.send(.get, "openapi.yaml").status == 200)
    registry.process.stop()
  }
}
