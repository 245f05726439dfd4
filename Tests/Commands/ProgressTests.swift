import CommandsDomain
import Foundation
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Progress of commands")
struct ProgressTests {
  private func say(_ world: World, _ id: String, _ progress: CommandProgress?, at: Date = .now) async throws {
    let id = try #require(UUID(text: id))
    let answer = CommandAnswer(id: id, status: .progress, progress: progress)
    try await world.fixture.runtime.database.applying {
      _ = try await world.fixture.service.apply(
        [(world.device.deviceId, .command(id, CommandOccurrence(answer, at: at), answered: .progress))],
        on: $0)
    }
  }

  private func time(_ json: JSON, _ name: String) throws -> Date {
    try #require(json[name]?.string.flatMap { Date(rfc3339: $0) })
  }

  @Test("the newest is kept and told, moves the deadline on and never back, and is not in the story")
  func newest() async throws {
    let world = try await World()
    let id = try await world.command(["type": "REBOOT", "timeouts": ["completeSeconds": 60]])
    let path = "api/v1/commands/\(id)"
    let start = Date.now.wholeMilliseconds
    // Who is at work has it, though it did not say so before.
    try await say(world, id, CommandProgress(percent: 10, step: "erasing"), at: start)
    let first = try await world.ask(.get, path).json
    #expect(first["status"] == "ACKNOWLEDGED" && first["acknowledgedAt"] == first["progress"]?["at"])
    #expect(first["progress"]?["percent"] == 10 && first["progress"]?["step"] == "erasing")
    #expect(try time(first, "deadline") == start + 60)
    try await say(world, id, CommandProgress(percent: 62.5), at: start + 50)
    let second = try await world.ask(.get, path).json
    #expect(second["progress"] == ["percent": .double(62.5), "at": .string((start + 50).rfc3339)])
    #expect(try time(second, "deadline") == start + 110)
    #expect(second["timeline"] == first["timeline"])
    try await say(world, id, nil, at: start + 40)
    let third = try await world.ask(.get, path).json
    #expect(try time(third, "deadline") == start + 110)
    let told = try await world.fixture.outbox(world.device.deviceId, .commandsEvents)
      .filter { $0.type == "martlet.command.progressed" }
    #expect(told.compactMap { $0.json["rev"]?.int } == [2, 3, 4])
    #expect(told[1].json["progress"] == second["progress"])
    let receipts = try await world.fixture.outbox(world.device.deviceId, .deviceDownlink)
      .filter { $0.json["status"] == "PROGRESS" }
    #expect(receipts.count == 3, "a careful device need not repeat it")
    try await world.report(id, .succeeded)
    let done = try await world.ask(.get, "commands/\(id)").json
    #expect(done["status"] == "completed" && done["progress"]?["at"]?.string != nil)
  }

  @Test("after the end it is an answer like others: kept once, until there is a better one")
  func late() async throws {
    let world = try await World()
    let id = try await world.command()
    try await world.report(id, .deadlinePassed)
    try await say(world, id, CommandProgress(percent: 90))
    let late = try await world.ask(.get, "api/v1/commands/\(id)").json
    #expect(late["status"] == "TIMEOUT" && late["lateOutcome"]?["status"] == "PROGRESS")
    #expect(late["progress"] == nil && late["deadline"] == nil)
    try await say(world, id, CommandProgress(percent: 95))
    #expect(try await world.ask(.get, "api/v1/commands/\(id)").json == late)
    try await world.report(id, .succeeded)
    #expect(
      try await world.ask(.get, "api/v1/commands/\(id)").json["lateOutcome"]?["status"] == "SUCCESS")
    let done = try await world.command()
    try await world.report(done, .succeeded)
    let before = try await world.ask(.get, "api/v1/commands/\(done)").json
    try await say(world, done, CommandProgress(percent: 100))
    #expect(try await world.ask(.get, "api/v1/commands/\(done)").json == before)
  }

  @Test("who says how far he is does not run into the deadline that he had before")
  func sweeper() async throws {
    let world = try await World(on: Fixture(url: PostgresServer.shared().createDatabase("commands")))
    let id = try await world.command(["type": "REBOOT", "timeouts": ["completeSeconds": 60]])
    let start = Date.now.wholeMilliseconds
    try await world.report(id, .acknowledged)
    try await say(world, id, CommandProgress(percent: 1), at: start + 50)
    _ = try await world.fixture.service.sweep(at: start + 100, limit: 500)
    #expect(try await world.ask(.get, "api/v1/commands/\(id)").json["status"] == "ACKNOWLEDGED")
    _ = try await world.fixture.service.sweep(at: start + 111, limit: 500)
    let over = try await world.ask(.get, "api/v1/commands/\(id)").json
    #expect(over["status"] == "TIMEOUT" && over["reason"] == "notCompleted")
    #expect(over["progress"]?["percent"] == 1)
  }
}
