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
    "a page ends before it holds too many bytes, with at least one command, and the next goes on after it")
  func bytes() async throws {
    let world = try await World()
    var ids: [String] = []
    for _ in 0..<5 { ids.append(try await world.command()) }
    try await world.fixture.runtime.database.query(
      """
      UPDATE command SET params = jsonb_build_object('x', repeat('y', 1000)), result = jsonb_build_object('z', repeat('y', 500))
      WHERE id = \(UUID(text: ids[2]))
      """)
    var filter = CommandStore.Filter(device: world.device, limit: 4)
    var pages: [[String]] = []
    repeat {
      let page = try await world.fixture.service.commands(filter, atMost: 1200)
      pages.append(page.commands.map(\.head.id.text))
      filter.before = page.next
    } while filter.before != nil && pages.count < 9
    // The third is the first beyond the bound: it still stands in its page, nothing after it does.
    #expect(pages == [[ids[4], ids[3], ids[2]], [ids[1], ids[0]]])
    filter.before = nil
    #expect(try await world.fixture.service.commands(filter, atMost: -1).commands.count == 1)
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
      try await fixture.runtime.database.applying {
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

  @Test("`since` is a time, whose plus may have become a blank; all else is 400 that names it")
  func since() async throws {
    let world = try await World()
    let ids = [try await world.command(), try await world.command()]
    let path = "api/v1/devices/\(world.device.deviceId)/commands"
    try await world.fixture.runtime.database.query(
      "UPDATE command SET created_at = '2025-11-30T20:59:59.999Z' WHERE id = \(UUID(text: ids[0]))")
    try await world.fixture.runtime.database.query(
      "UPDATE command SET created_at = '2025-11-30T21:00:00Z' WHERE id = \(UUID(text: ids[1]))")
    for since in [
      "2025-11-30T23:00:00+02:00", "2025-11-30T23:00:00%2B02:00", "2025-11-30T21:00:00Z",
      "2025-11-30T21:00:00.000000Z",
    ] {
      let found = try await world.ask(.get, "\(path)?since=\(since)").json["items"]?.array
      #expect(found?.compactMap { $0["id"]?.string } == [ids[1]], "\(since)")
    }
    for since in ["2025-11-30", "1764536400", "", "2025-11-30+21:00:00Z", "2025-11-30T21:00:00"] {
      let answer = try await world.ask(.get, "\(path)?since=\(since)")
      #expect(answer.status == 400 && answer.json["detail"]?.string?.contains("since") == true, "\(since)")
    }
    let tomorrow = Date.now.addingTimeInterval(86_400).rfc3339
    #expect(try await world.ask(.get, "\(path)?since=\(tomorrow)").json["items"] == [])
  }

  @Test("a device's commands by status and type, exactly; what no list knows is 400 that names it")
  func filters() async throws {
    let world = try await World(catalogue: ["blink": [:], "Blink": [:]])
    let ids = try await [world.command(["type": "blink"]), world.command(["type": "Blink"]), world.command()]
    try await world.report(ids[2], .succeeded)
    let path = "api/v1/devices/\(world.device.deviceId)/commands"
    for (query, found) in [
      ("status=PENDING", [ids[1], ids[0]]), ("status=SUCCESS", [ids[2]]), ("type=blink", [ids[0]]),
      ("type=Blink&status=PENDING", [ids[1]]), ("type=blink&status=SUCCESS", []), ("type=%25", []),
      ("type=", []),
    ] {
      let items = try await world.ask(.get, "\(path)?\(query)").json["items"]?.array
      #expect(items?.compactMap { $0["id"]?.string } == found, "\(query)")
    }
    for (query, name) in [
      ("status=pending", "status"), ("status=", "status"), ("status=SENT&status=SENT", "status"),
      ("Status=SENT", "Status"), ("limit=0", "limit"), ("limit=1001", "limit"), ("cursor=x", "cursor"),
    ] {
      let answer = try await world.ask(.get, "\(path)?\(query)")
      #expect(answer.status == 400 && answer.json["detail"]?.string?.contains(name) == true, "\(query)")
    }
    for path in ["commands", "devices/\(world.device.deviceId)/commands"] {
      #expect(try await world.ask(.get, "\(path)?status=pending").status == 400)
    }
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
