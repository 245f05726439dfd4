import FoundationEssentials
import HTTP
import TestSupport
import Testing
import Wire

@testable import CommandsDomain
@testable import CommandsService

@Suite("Commands together", .serialized)
struct CommandListTests {
  @Test(
    "a last page that is full has no next one",
    arguments: ["api/v1/devices/{}/commands", "devices/{}/commands", "commands"])
  func lastPage(_ path: String) async throws {
    let world = try await World()
    for _ in 0..<4 { try await world.command() }
    let list = path.replacing("{}", with: world.device.deviceId)
    let first = try await world.ask(.get, "\(list)?limit=2").json
    #expect(first["items"]?.array?.count == 2)
    let cursor = try #require(first["nextCursor"]?.string)
    let last = try await world.ask(.get, "\(list)?limit=2&cursor=\(cursor)").json
    #expect(last["items"]?.array?.count == 2)
    #expect(last["nextCursor"] == .null)
    #expect(try await world.ask(.get, "\(list)?limit=4").json["nextCursor"] == .null)
  }

  @Test(
    "invariants count the own organisation, and all for root, exactly, before and after they are added up")
  func invariants() async throws {
    let url = try await PostgresServer.shared().createDatabase("commands")
    let fixture = try await Fixture(url: url)
    let (mine, other) = (try await World(on: fixture), try await World(on: fixture))
    let ids = [try await mine.command(), try await mine.command(), try await mine.command()]
    try await other.command()
    func report(_ id: String, _ status: DeviceStatus, of world: World) async throws {
      let answer = CommandAnswer(id: UUID(text: id) ?? UUID(), status: status, result: nil, error: nil)
      try await fixture.runtime.database.withTransaction {
        _ = try await fixture.service.apply(
          [
            (
              world.device.deviceId,
              .command(answer.id, CommandOccurrence(answer, at: .now), answered: status)
            )
          ], on: $0)
      }
    }
    try await report(ids[0], .success, of: mine)
    try await report(ids[1], .acknowledged, of: mine)
    try await report(ids[1], .acknowledged, of: mine)
    for _ in 0..<2 {
      let own = try await mine.ask(.get, "api/v1/invariants").json
      #expect(own["created"] == 3 && own["terminal"] == 1 && own["open"] == 2 && own["watched"] == 2)
      #expect(own["byStatus"]?["SUCCESS"] == 1 && own["byStatus"]?["ACKNOWLEDGED"] == 1)
      #expect(own["byStatus"]?["PENDING"] == 1 && own["holds"] == true)
      #expect(try await fixture.service.invariants(in: nil)["created"] == 4)
      let key = try await mine.key(.viewer)
      #expect(try await mine.ask(.get, "api/v1/invariants", key: key).json["created"] == 3)
      try await fixture.service.addUpCounts()
    }
    try await fixture.runtime.database.query("DELETE FROM open_command WHERE id = \(UUID(text: ids[2]))")
    let broken = try await mine.ask(.get, "api/v1/invariants").json
    #expect(broken["holds"] == false && broken["openWithoutDeadline"] == 1)
    #expect(try await other.ask(.get, "api/v1/invariants").json["holds"] == true)
  }

  @Test("one that the database refuses does not fail those that came with it")
  func poison() async throws {
    let fixture = try await Fixture(url: PostgresServer.shared().createDatabase("commands"))
    let world = try await World(on: fixture, catalogue: ["GOOD": [:], "BAD": [:]])
    try await fixture.runtime.database.query("ALTER TABLE command ADD CHECK (type <> 'BAD')")
    let path = "api/v1/devices/\(world.device.deviceId)/commands"
    let outcomes = try await withThrowingTaskGroup(of: (String, Int).self) { group in
      for number in 0..<20 {
        let type = number % 10 == 7 ? "BAD" : "GOOD"
        group.addTask { (type, try await world.ask(.post, path, ["type": .string(type)]).status) }
      }
      return try await group.reduce(into: [:]) { $0["\($1.0) \($1.1)", default: 0] += 1 }
    }
    #expect(outcomes == ["GOOD 201": 18, "BAD 500": 2])
    #expect(try await world.ask(.get, "api/v1/invariants").json["created"] == 18)
  }
}
