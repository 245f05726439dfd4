import CommandsDomain
import Foundation
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Commands that are tried again")
struct RetryTests {
  @Test(
    "a failed one is made once more, the two name each other, and both are told of", arguments: [false, true])
  func again(_ isTimeout: Bool) async throws {
    let world = try await World(on: Fixture(url: PostgresServer.shared().createDatabase("commands")))
    let id = try await world.command([
      "type": "REBOOT", "params": ["n": 9_007_199_254_740_993], "lane": "slow",
      "timeouts": ["completeSeconds": 77],
    ])
    try await world.report(id, isTimeout ? .deadlinePassed : .failed)
    let answer = try await world.ask(.post, "commands/\(id)/retry", key: world.key(.admin))
    #expect(answer.status == 200 && answer.json["success"] == true)
    #expect(answer.json["original_command_id"]?.string == id)
    #expect(answer.json["new_command"]?["status"] == "pending")
    let other = try #require(answer.json["new_command"]?["command_id"]?.string)
    let made = try await world.ask(.get, "api/v1/commands/\(other)").json
    #expect(made["retryOf"]?.string == id && made["status"] == "PENDING" && made["lane"] == "slow")
    #expect(made["params"]?["n"] == 9_007_199_254_740_993)
    let original = try await world.ask(.get, "api/v1/commands/\(id)").json
    #expect(original["retriedBy"]?.string == other)
    #expect(original["status"]?.string == (isTimeout ? "TIMEOUT" : "FAILED"))
    #expect(original["timeline"]?.array?.last?["event"] == "retried")
    let records = try await world.ask(.get, "commands").json["items"]?.array ?? []
    #expect(records.compactMap { $0["retry_of"]?.string } == [id])
    #expect(records.compactMap { $0["retried_by"]?.string } == [other])
    let told = try await world.fixture.outbox(world.device.deviceId, .commandsEvents)
    #expect(told.filter { $0.type == "martlet.command.created" }.last?.json["retryOf"]?.string == id)
    #expect(
      told.filter { $0.json["commandId"]?.string == id }.compactMap { $0.json["rev"]?.int } == [1, 2, 3])
    let downlinks = try await world.fixture.outbox(world.device.deviceId, .deviceDownlink)
    #expect(downlinks.compactMap { $0.json["id"]?.string } == [id, other])
    // The new one may fail too, and is tried again by itself.
    try await world.report(other, .failed)
    #expect(try await world.ask(.post, "commands/\(other)/retry").status == 200)
  }

  @Test("one that is open or did what it should is 409 that says what it is")
  func notFailed() async throws {
    let world = try await World()
    let id = try await world.command()
    for (event, word) in [
      (nil, "PENDING"), (.sent, "SENT"), (.acknowledged, "ACKNOWLEDGED"), (.succeeded, "SUCCESS"),
    ]
      as [(CommandEvent?, String)]
    {
      if let event { try await world.report(id, event) }
      let answer = try await world.ask(.post, "commands/\(id)/retry")
      #expect(answer.status == 409 && answer.json["detail"]?.string?.contains(word) == true)
    }
    let list = try await world.ask(.get, "devices/\(world.device.deviceId)/commands").json
    #expect(list["items"]?.array?.count == 1)
  }

  @Test("one Idempotency-Key makes one, also of two at once and on the other replica")
  func once() async throws {
    let url = try await PostgresServer.shared().createDatabase("commands")
    let one = try await World(on: Fixture(url: url))
    let two = World(one, on: try await Fixture(url: url))
    let id = try await one.command()
    try await one.report(id, .failed)
    async let a = one.ask(.post, "commands/\(id)/retry", nil, ["Idempotency-Key": "k"])
    async let b = two.ask(.post, "commands/\(id)/retry", nil, ["Idempotency-Key": "k"])
    let both = try await [a, b]
    let first = try #require(both.first { $0.status == 200 })
    #expect(both.allSatisfy { $0.status == 409 || $0.json == first.json })
    #expect(
      try await two.ask(.post, "commands/\(id)/retry", nil, ["Idempotency-Key": "k"]).json == first.json)
    #expect(try await one.ask(.get, "api/v1/invariants").json["created"] == 2)
  }

  @Test("only the admin of its organisation may; a device that is no more is 409, and a body says nothing")
  func refused() async throws {
    let (world, other) = (try await World(), try await World())
    let id = try await world.command()
    try await world.report(id, .failed)
    let path = "commands/\(id)/retry"
    #expect(try await world.ask(.post, path, key: world.key(.operator)).status == 403)
    #expect(try await world.ask(.post, path, key: other.key(.admin)).status == 404)
    #expect(try await world.ask(.post, "commands/\(UUID.v7().text)/retry").status == 404)
    #expect(try await world.ask(.post, "commands/none/retry").status == 404)
    #expect(try await world.ask(.post, path, ["x": 1]).status == 422)
    try await world.fixture.tell([.deleted(Entity.device(world.device).deletion)])
    #expect(try await world.ask(.post, path).status == 409)
    #expect(try await world.ask(.get, "api/v1/commands/\(id)").json["retriedBy"] == nil)
  }
}
