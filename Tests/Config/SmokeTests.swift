import Foundation
import HTTP
import Kafka
import Observability
import Runtime
import TestSupport
import Testing
import Wire

/// The real executable, on its own database and through a real Kafka: registry's entities in, documents out, reports
/// back in.
@Suite struct SmokeTests {
  @Test func theExecutableServes() async throws {
    let bus = try await Bus()
    let config = try await Executable(bus: bus)
    defer { config.process.stop() }
    let (organisation, board, key) = (UUID.v7(), UUID.v7(), UUID.v7())
    let device = DeviceEntity(
      id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: "m-1", soc: "esp32", boardId: board,
      organisationId: organisation, rev: 1)
    try await bus.send([
      Entity.apiKey(
        APIKeyEntity(
          id: key, organisationId: organisation, name: "a", role: .admin, hash: Bus.hash(of: "the-key"),
          expiresAt: nil, rev: 1)
      ).event(traceparent: nil),
      Entity.board(
        BoardEntity(
          id: board, organisationId: organisation, soc: "esp32", isPublic: false, deviceType: nil,
          configSchemas: [:],
          commandCatalogue: [:], rev: 1)
      ).event(traceparent: nil),
      Entity.device(device).event(traceparent: nil),
    ])

    // No wait: what the registry has said is known at once.
    let artefact = try await config.ask(
      .post, "/api/v1/config-artefacts",
      [
        "slot": "wifi", "profile": ["type": "DEVICE_PROFILE", "id": .string(board.text)],
        "content": ["ssid": "x"],
      ])
    #expect(artefact["version"] == 1)
    let binding = try await config.ask(
      .put, "/api/v1/desired-state-bindings",
      [
        "target": ["type": "DEVICE", "id": .string(device.deviceId)], "slot": "wifi",
        "artefactId": artefact["id"] ?? .null,
      ])
    #expect(binding["convergence"]?["total"] == 1)
    let document = try await bus.next(.deviceDownlink, key: device.deviceId)
    #expect(document["slots"]?["wifi"]?["content"] == ["ssid": "x"])
    let report = ReportedSlot(version: 1, sha256: artefact["sha256"]?.string ?? "", status: .accepted)
    try await bus.send([
      Uplink.published(revision: 1).event(deviceId: device.deviceId, traceparent: nil),
      Uplink.reported(["wifi": report]).event(deviceId: device.deviceId, traceparent: nil),
    ])
    let path = "/api/v1/devices/\(device.deviceId)/desired-state"
    try await eventually("the report is known") {
      try await config.ask(.get, path)["slots"]?["wifi"]?["status"] == "ACCEPTED"
    }
    #expect(try await config.get("/openapi.yaml").status == 200)
    #expect(try await config.get("/readyz").status == 200)
    config.process.stop()
    let log = try String(contentsOf: config.process.log, encoding: .utf8)
    #expect(log.contains(#""message":"ended""#), "SIGTERM ends it in order")
    #expect(!log.contains("the-key") && !log.contains(Executable.rootKey))
  }
}
