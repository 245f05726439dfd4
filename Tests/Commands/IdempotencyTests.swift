import FoundationEssentials
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Commands with an Idempotency-Key")
struct IdempotencyTests {
  @Test(
    "one command, one downlink, the first answer again; on the other replica too",
    arguments: [("api/v1/devices/{}/commands", "type"), ("devices/{}/commands", "command")])
  func again(_ template: String, _ field: String) async throws {
    let url = try await PostgresServer.shared().createDatabase("commands")
    let one = try await World(on: Fixture(url: url))
    let two = World(one, on: try await Fixture(url: url))
    let path = template.replacing("{}", with: one.device.deviceId)
    let body: JSON = .object([field: "REBOOT", "params": ["n": 9_007_199_254_740_993]])
    let key = ["Idempotency-Key": UUID.v7().text]
    func post(_ world: World, _ body: JSON) async throws -> (status: Int, json: JSON) {
      try await world.ask(.post, path, body, ["Idempotency-Key": key["Idempotency-Key"] ?? ""])
    }
    let first = try await post(one, body)
    #expect(first.status == 201)
    for world in [one, two] {
      let answer = try await post(world, body)
      #expect(answer.status == 201)
      #expect(answer.json == first.json)
    }
    #expect(
      try await post(two, .object([field: "REBOOT", "params": ["n": 9_007_199_254_740_992]])).status == 422)
    #expect(try await one.ask(.get, "api/v1/invariants").json["created"] == 1)
    #expect(try await one.fixture.outbox(one.device.deviceId, .deviceDownlink).count == 1)
  }

  @Test("a refused command leaves the key free; without the header nothing is stored")
  func free() async throws {
    let fixture = try await Fixture(url: PostgresServer.shared().createDatabase("commands"))
    let world = try await World(on: fixture)
    let path = "api/v1/devices/\(world.device.deviceId)/commands"
    #expect(try await world.ask(.post, path, ["type": "NONE"], ["Idempotency-Key": "a"]).status == 422)
    try await world.command()
    let rows = try await fixture.runtime.database.query("SELECT count(*) FROM idempotency_key")
    #expect(try rows.first?.decode(Int64.self) == 0)
    try await world.command(["type": "REBOOT"], ["Idempotency-Key": "a"])
  }
}
