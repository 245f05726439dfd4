import Crypto
import FoundationEssentials
import TestSupport
import Testing
import Wire

@testable import ConfigService

/// Devices fetch what their document only has the size of (SPEC, section 6.1).
@Suite struct ArtefactRequestTests {
  private func answers(_ world: World, _ deviceId: String) async throws -> [JSON] {
    try await world.fixture.outbox(deviceId, .deviceDownlink).filter { $0.type == Downlink.artefactType }.map(
      \.json)
  }

  @Test("the document has the size, and the address comes when it is asked for")
  func fetches() async throws {
    try await ObjectWorld.run { store in
      let world = store.world
      let bytes = [UInt8](repeating: 3, count: 100_000)
      let made = try await store.upload(bytes, type: "application/x-model")
      #expect(try await world.bind(made, slot: "model").status == 201)
      let documents = try await world.fixture.outbox(world.device.deviceId, .deviceDownlink)
      let slot = try #require(documents.last?.json["slots"]?["model"])
      #expect(slot["size"] == 100_000)
      #expect(slot["content"] == nil)
      #expect(slot["contentType"] == "application/x-model")
      let sha256 = try #require(slot["sha256"]?.string)

      // Asked twice in one batch, once by shouting firmware: one answer.
      try await world.fixture.uplink(
        world.device.deviceId,
        [.artefactRequest(sha256: sha256), .artefactRequest(sha256: sha256.uppercased())])
      let answer = try await answers(world, world.device.deviceId)
      #expect(answer.count == 1)
      #expect(answer.first?["sha256"]?.string == sha256)
      let expiresAt = try #require(answer.first?["expiresAt"]?.string.flatMap { Date(rfc3339: $0) })
      #expect(expiresAt > Date.now + 3000)
      let read = try await store.get(try #require(answer.first?["url"]?.string))
      #expect(read.body == bytes)
      #expect(read.headers["Content-Type"] == "application/x-model")
      #expect(SHA256.hash(data: read.body).hex == sha256)
    }
  }

  @Test("only what is in its own document, and the answer says so")
  func refuses() async throws {
    try await ObjectWorld.run { store in
      let world = store.world
      let large = try await store.upload([1, 2, 3])
      let small = try await world.artefact()
      _ = try await world.bind(small)
      func code(_ artefact: JSON, _ deviceId: String) async throws -> JSON? {
        let sha256 = artefact["sha256"]?.string ?? ""
        try await world.fixture.uplink(deviceId, [.artefactRequest(sha256: sha256)])
        let last = try await answers(world, deviceId).last
        #expect(last?["sha256"]?.string == sha256)
        return last?["error"]?["code"]
      }
      #expect(try await code(large, world.device.deviceId) == "notDesired", "it is not bound")
      let binding = try await world.bind(large, slot: "model").json["id"]?.string ?? ""
      #expect(try await code(large, world.device.deviceId) == nil)
      #expect(try await code(large, world.theirDevice.deviceId) == "notDesired", "another's")
      #expect(try await code(small, world.device.deviceId) == "inline")
      #expect(
        try await code(["sha256": .string(String(repeating: "0", count: 64))], "ffffffffffffffff")
          == "notDesired")
      #expect(try await world.ask(.delete, "/api/v1/desired-state-bindings/\(binding)").status == 204)
      #expect(try await code(large, world.device.deviceId) == "notDesired", "not any more")
    }
  }

  @Test("what is no request is set aside", arguments: [#"{"sha256":"abc"}"#, "{}", #"{"sha256":5}"#])
  func nonsense(payload: String) {
    #expect(throws: JSONFaults.self) { try Uplink(.artefactRequest, payload: Array(payload.utf8)) }
  }

  @Test("answers are read as they are written")
  func wire() throws {
    let sha256 = String(repeating: "0a", count: 32)
    let answers =
      [
        ArtefactAnswer(
          sha256: sha256, outcome: .url("http://x/y", expiresAt: Date(timeIntervalSince1970: 1_800_000_000)))
      ] + ArtefactAnswer.Fault.allCases.map { ArtefactAnswer(sha256: sha256, outcome: .fault($0)) }
    for answer in answers {
      let event = Downlink.artefact(answer).event(deviceId: "d", traceparent: nil)
      #expect(try Downlink(type: event.type, payload: event.payload ?? []) == .artefact(answer))
    }
  }
}
