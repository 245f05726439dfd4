import FoundationEssentials
import HTTP
import TestSupport
import Testing
import Wire

@testable import ConfigService

@Suite("Keys away from the registry")
struct KeyTests {
  @Test("without Kafka a wrong key is 401 from what is known, and a known one works")
  func withoutKafka() async throws {
    let url = try await PostgresServer.shared().createDatabase("config")
    let world = try await World(on: Fixture(url: url, kafka: "127.0.0.1:1"))
    let start = ContinuousClock.now
    let path = "/api/v1/config-artefacts"
    #expect(try await world.ask(.get, path, key: "wrong").status == 401)
    #expect(.now - start < .seconds(5), "Kafka is asked for a second")
    #expect(try await world.ask(.get, path, as: .viewer).status == 200)
    let late = "late-\(UUID().text)"
    try await world.tell([
      .present(
        .apiKey(
          APIKeyEntity(
            id: .v7(), organisationId: world.ours, name: "k", role: .viewer, hash: Bus.hash(of: late),
            expiresAt: nil, rev: 1)))
    ])
    #expect(try await world.ask(.get, path, key: late).status == 200)
  }

  @Test("in the executable: among many wrong keys, one that was just made works at once")
  func justMade() async throws {
    let bus = try await Bus()
    let config = try await Executable(bus: bus)
    defer { config.process.stop() }
    let path = "/api/v1/config-artefacts"
    for round in 0..<5 {
      let key = "key-\(round)"
      try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<10 {
          group.addTask { try await config.status(path, key: "wrong-\(round)-\(number)") }
        }
        try await bus.send([
          Entity.apiKey(
            APIKeyEntity(
              id: .v7(), organisationId: .v7(), name: "k", role: .viewer, hash: Bus.hash(of: key),
              expiresAt: nil,
              rev: 1)
          ).event(traceparent: nil)
        ])
        #expect(try await config.status(path, key: key) == 200)
        for try await status in group { #expect(status == 401) }
      }
    }
  }
}
