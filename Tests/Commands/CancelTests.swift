import CommandsDomain
import Foundation
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Cancelled commands")
struct CancelTests {
  @Test(
    "what is PENDING becomes FAILED, cancelled, is told of and no longer open; a second time it is 409",
    arguments: ["api/v1/commands/{}/cancel", "api/v1/devices/{device}/commands/{}/cancel"])
  func cancel(_ template: String) async throws {
    let world = try await World(on: Fixture(url: PostgresServer.shared().createDatabase("commands")))
    let id = try await world.command()
    let path = template.replacing("{}", with: id).replacing("{device}", with: world.device.mcuId)
    let answer = try await world.ask(.post, path, key: world.key(.operator))
    #expect(answer.status == 200)
    #expect(answer.json["status"] == "FAILED" && answer.json["reason"] == "cancelled")
    #expect(answer.json["error"]?["code"] == "cancelled" && answer.json["deadline"] == nil)
    let last = try #require(answer.json["timeline"]?.array?.last)
    #expect(last["event"] == "cancelled" && last["status"] == "FAILED")
    #expect(last["detail"]?.string?.hasPrefix("apiKey/") == true)
    #expect(try await world.ask(.get, "api/v1/commands/\(id)").json == answer.json)
    let told = try await world.fixture.outbox(world.device.deviceId, .commandsEvents)
    #expect(told.map(\.type) == ["martlet.command.created", "martlet.command.cancelled"])
    #expect(told.last?.json["rev"] == 2 && told.last?.json["reason"] == "cancelled")
    let invariants = try await world.ask(.get, "api/v1/invariants").json
    #expect(invariants["open"] == 0 && invariants["terminal"] == 1 && invariants["holds"] == true)
    let again = try await world.ask(.post, path)
    #expect(again.status == 409 && again.json["detail"]?.string?.contains("FAILED") == true)
  }

  @Test("what is not PENDING any more is 409 that says what it is, and stays so", arguments: [false, true])
  func tooLate(_ isOver: Bool) async throws {
    let world = try await World()
    let id = try await world.command()
    try await world.report(id, isOver ? .succeeded : .sent)
    let answer = try await world.ask(.post, "api/v1/commands/\(id)/cancel")
    let status = isOver ? "SUCCESS" : "SENT"
    #expect(answer.status == 409 && answer.json["detail"]?.string?.contains(status) == true)
    #expect(try await world.ask(.get, "api/v1/commands/\(id)").json["status"]?.string == status)
  }

  @Test("one that was on its way to the broker may still be done: its answer is late, and is kept once")
  func late() async throws {
    let world = try await World()
    let id = try await world.command()
    #expect(try await world.ask(.post, "api/v1/commands/\(id)/cancel").status == 200)
    try await world.report(id, .sent)
    try await world.report(id, .acknowledged)
    try await world.report(id, .succeeded, result: ["n": 1])
    let done = try await world.ask(.get, "api/v1/commands/\(id)").json
    #expect(done["status"] == "FAILED" && done["reason"] == "cancelled" && done["result"] == nil)
    #expect(done["lateOutcome"]?["status"] == "SUCCESS" && done["lateOutcome"]?["result"]?["n"] == 1)
    #expect(done["sentAt"] != nil)
    try await world.report(id, .failed)
    #expect(try await world.ask(.get, "api/v1/commands/\(id)").json == done)
  }

  @Test("what the device itself has FAILED keeps no late answer")
  func answered() async throws {
    let world = try await World()
    let id = try await world.command()
    try await world.report(id, .failed)
    let failed = try await world.ask(.get, "api/v1/commands/\(id)").json
    #expect(failed["reason"] == "device")
    try await world.report(id, .succeeded)
    #expect(try await world.ask(.get, "api/v1/commands/\(id)").json == failed)
  }

  @Test("it leaves its place in the window to the next")
  func window() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(17, device)
    let root = try await stored.fixture.service.cancel(ids[3], in: stored.organisation, by: .root)
    #expect(root.state.status == .failed)
    #expect(try await stored.turns().map(\.id) == [ids[12]])
  }

  @Test("a viewer may not, another organisation and another device have none, and a body says nothing")
  func refused() async throws {
    let (world, other) = (try await World(), try await World())
    let id = try await world.command()
    let path = "api/v1/commands/\(id)/cancel"
    #expect(try await world.ask(.post, path, key: world.key(.viewer)).status == 403)
    #expect(try await world.ask(.post, path, key: other.key(.admin)).status == 404)
    #expect(try await other.ask(.post, path).status == 404)
    let ofOther = "api/v1/devices/\(other.device.deviceId)/commands/\(id)/cancel"
    #expect(try await world.ask(.post, ofOther).status == 404)
    #expect(try await world.ask(.post, "api/v1/commands/none/cancel").status == 404)
    #expect(try await world.ask(.post, "api/v1/commands/\(UUID.v7().text)/cancel").status == 404)
    let field = try await world.ask(.post, path, ["reason": "x"])
    #expect(field.status == 422 && field.json["errors"]?.array?.first?["pointer"] == "/reason")
    #expect(try await world.ask(.post, path, [1]).status == 422)
    #expect(try await world.ask(.get, "api/v1/commands/\(id)").json["status"] == "PENDING")
    #expect(try await world.ask(.post, path, [:]).status == 200)
  }

  @Test("against the device's answer one of the two wins, on two replicas; the counts stay right")
  func race() async throws {
    let url = try await PostgresServer.shared().createDatabase("commands")
    let one = try await World(on: Fixture(url: url))
    let two = World(one, on: try await Fixture(url: url))
    for _ in 0..<20 {
      let id = try await one.command()
      async let cancelled = one.ask(.post, "api/v1/commands/\(id)/cancel").status
      // The uplink consumer does the same: what another writer was faster with is begun anew.
      while (try? await two.report(id, .succeeded)) == nil {}
      let status = try await cancelled
      let command = try await two.ask(.get, "api/v1/commands/\(id)").json
      #expect([200, 409].contains(status))
      #expect(command["status"]?.string == (status == 200 ? "FAILED" : "SUCCESS"))
      #expect((command["lateOutcome"] != nil) == (status == 200))
    }
    let invariants = try await one.ask(.get, "api/v1/invariants").json
    #expect(invariants["created"] == 20 && invariants["terminal"] == 20 && invariants["holds"] == true)
  }
}
