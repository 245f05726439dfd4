import Foundation
import Kafka
import Testing
import Wire

@testable import RegistryService

@Suite("When keys were last used")
struct KeyUsesTests {
  private func tell(_ world: World, _ payloads: [[UInt8]]) async throws -> Int {
    let messages = payloads.enumerated().map { number, payload in
      KafkaMessage(
        topic: KafkaTopic.keyUses.rawValue, partition: 0, offset: Int64(number), key: Array("commands".utf8),
        value: payload, headers: [KafkaHeader(EventHeader.type, UsedKeys.type)])
    }
    return try await world.database.withTransaction { connection in
      try await KeyUsesInbox().apply(messages, connection).rejected.count
    }
  }

  @Test("the newest use is shown; none, garbage and keys that are gone change nothing")
  func shown() async throws {
    let world = try await World.shared()
    let made = await world.send("POST", "apiKey", body: ["name": "used", "role": "viewer"])
    let id = try #require(made.json["id"]?.string.flatMap { UUID(text: $0) })
    func lastUsed() async throws -> JSON? {
      let keys = try #require(await world.send("GET", "apiKey?limit=1000").json.array)
      return try #require(keys.first { $0["id"] == .string(id.text) })["lastUsedAt"]
    }
    #expect(try await lastUsed() == nil)
    let time = Date(timeIntervalSince1970: 1_800_000_000)
    func use(_ time: Date, of ids: UUID...) -> [UInt8] {
      UsedKeys(Dictionary(uniqueKeysWithValues: ids.map { ($0, time) })).events(by: "c").first?.payload ?? []
    }
    #expect(try await tell(world, [use(time, of: id, .v7()), Array("{}".utf8), use(time - 5, of: id)]) == 1)
    #expect(try await lastUsed() == .string(time.rfc3339))
    #expect(try await tell(world, [use(time - 1, of: id)]) == 0)
    #expect(try await lastUsed() == .string(time.rfc3339))
    #expect(await world.send("DELETE", "apiKey/id/\(id.text)").status < 300)
    #expect(try await tell(world, [use(time + 1, of: id)]) == 0)
  }
}
