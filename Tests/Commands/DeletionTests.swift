import CommandsDomain
import Foundation
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Commands that are deleted", .serialized)
struct DeletionTests {
  private func own() async throws -> World {
    try await World(on: Fixture(url: PostgresServer.shared().createDatabase("commands")))
  }

  @Test(
    "one that is open ends first, and the counts go with it",
    arguments: [nil, CommandEvent.sent, .acknowledged, .succeeded])
  func delete(_ event: CommandEvent?) async throws {
    let world = try await own()
    let (id, other) = (try await world.command(), try await world.command())
    if let event { try await world.report(id, event) }
    let answer = try await world.ask(.delete, "commands/\(id)", key: world.key(.admin))
    #expect(answer.status == 200)
    #expect(answer.json == ["success": true, "deleted": .string(id)])
    #expect(try await world.ask(.get, "commands/\(id)").status == 404)
    #expect(try await world.ask(.delete, "commands/\(id)").status == 404)
    let last = try await world.fixture.outbox(world.device.deviceId, .commandsEvents).last
    #expect(last?.type == "martlet.command.deleted" && last?.json["commandId"]?.string == id)
    #expect(last?.json["status"]?.string == (event == .succeeded ? "SUCCESS" : "FAILED"))
    #expect(last?.json["reason"] == (event == .succeeded ? nil : "cancelled"))
    for _ in 0..<2 {
      let counts = try await world.ask(.get, "api/v1/invariants").json
      #expect(counts["created"] == 1 && counts["open"] == 1 && counts["holds"] == true)
      #expect(counts["byStatus"]?["FAILED"] == 0 && counts["byStatus"]?["SUCCESS"] == 0)
      try await world.fixture.service.addUpCounts()
    }
    // What its device says of it then is nobody's, and stops nothing.
    try await world.report(id, .succeeded)
    try await world.report(other, .succeeded)
    #expect(try await world.ask(.get, "commands/\(other)").json["status"] == "completed")
  }

  @Test(
    "a careful device that answers to what is nobody's hears that it need not; what is another's it hears nothing of"
  )
  func receipts() async throws {
    let world = try await own()
    let (id, other) = (try await world.command(), try await World(on: world.fixture).command())
    #expect(try await world.ask(.delete, "commands/\(id)").status == 200)
    func answer(_ id: String, _ answered: DeviceStatus?) throws -> (deviceId: String, report: DeviceReport) {
      let event: CommandEvent = answered == nil ? .sent : .succeeded
      return (
        world.device.deviceId,
        .command(try #require(UUID(text: id)), CommandOccurrence(event, at: .now), answered: answered)
      )
    }
    // The bridge's own reports are no answers.
    let reports = [try answer(id, .success), try answer(id, nil), try answer(other, .success)]
    try await world.fixture.runtime.database.applying {
      _ = try await world.fixture.service.apply(reports, on: $0)
    }
    let told = try await world.fixture.outbox(world.device.deviceId, .deviceDownlink).filter {
      $0.type == Downlink.receiptType
    }
    #expect(told.map(\.json) == [["id": .string(id), "status": "UNKNOWN"]])
    for other in try await world.fixture.outbox(world.device.deviceId, .deviceDownlink) {
      _ = try Downlink(type: other.type, payload: other.json.bytes)
    }
  }

  @Test("only the admin of its organisation may delete and purge")
  func refused() async throws {
    let (world, other) = (try await World(), try await World())
    let id = try await world.command()
    #expect(try await world.ask(.delete, "commands/\(id)", key: world.key(.operator)).status == 403)
    #expect(try await world.ask(.delete, "commands/\(id)", key: other.key(.admin)).status == 404)
    #expect(try await world.ask(.delete, "commands/none").status == 404)
    let body: JSON = ["older_than_days": 0]
    #expect(try await world.ask(.post, "commands/purge", body, key: world.key(.operator)).status == 403)
    #expect(try await world.fixture.root(.post, "/commands/purge", body).status == 400)
    #expect(try await world.ask(.get, "commands/\(id)").status == 200)
  }

  @Test("a purge takes what is over and old, of the own organisation alone, over many pages")
  func purge() async throws {
    let world = try await own()
    let other = try await World(on: world.fixture)
    let theirs = try await other.command()
    try await other.report(theirs, .succeeded)
    let ids = try await many(1203, of: world)
    try await world.report(ids[700], .deadlinePassed)
    let open = [ids[3], ids[1200]]
    // Half a day ago: none is as old as a day.
    try await world.fixture.runtime.database.query(
      "UPDATE command SET created_at = created_at - interval '12 h' WHERE organisation_id = \(world.organisation)"
    )
    for id in ids where !open.contains(id) && id != ids[700] { try await world.report(id, .succeeded) }
    let young = try await world.command()
    try await world.report(young, .failed)
    #expect(try await world.ask(.post, "commands/purge", ["older_than_days": 1]).json["deleted"] == 0)
    let answer = try await world.ask(
      .post, "commands/purge", ["older_than_days": .double(0.25)], key: world.key(.admin))
    #expect(answer.status == 200 && answer.json["success"] == true && answer.json["deleted"] == 1201)
    let cutoff = try #require(answer.json["cutoff_date"]?.string.flatMap { Date(rfc3339: $0) })
    #expect(abs(cutoff.timeIntervalSinceNow + 6 * 3600) < 60)
    for _ in 0..<2 {
      let counts = try await world.ask(.get, "api/v1/invariants").json
      #expect(
        counts["created"] == 3 && counts["open"] == 2 && counts["terminal"] == 1 && counts["holds"] == true)
      try await world.fixture.service.addUpCounts()
    }
    let left = try await world.ask(.get, "commands").json["items"]?.array?.compactMap {
      $0["command_id"]?.string
    }
    #expect(left == [young, open[1], open[0]])
    #expect(try await other.ask(.get, "commands/\(theirs)").status == 200)
    #expect(try await world.ask(.post, "commands/purge", ["older_than_days": 0]).json["deleted"] == 1)
    #expect(
      try await world.ask(.post, "commands/purge", ["older_than_days": .double(1e300)]).json["deleted"] == 0)
  }

  /// Makes so many without asking for each.
  private func many(_ count: Int, of world: World) async throws -> [String] {
    var ids: [String] = []
    while ids.count < count {
      let page = min(16, count - ids.count)
      ids += try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<page { group.addTask { try await world.command() } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
    }
    let rows = try await world.fixture.runtime.database.query(
      "SELECT id FROM command WHERE organisation_id = \(world.organisation) ORDER BY seq")
    return try rows.decode(UUID.self).map(\.text)
  }

  @Test(
    "an age that is none is 422, and nothing is deleted",
    arguments: [
      "{}", #"{"older_than_days":-0.1}"#, #"{"older_than_days":"0"}"#, #"{"older_than_days":null}"#,
      #"{"older_than_days":true}"#, #"{"older_than_days":[]}"#, "[]", #"{"older_than_days":0,"more":1}"#,
    ])
  func noAge(_ body: String) async throws {
    let world = try await World()
    let id = try await world.command()
    try await world.report(id, .succeeded)
    let answer = try await world.ask(.post, "commands/purge", JSON(parsing: Array(body.utf8)))
    #expect(answer.status == 422, "\(answer.json.text)")
    #expect(try await world.ask(.get, "commands/\(id)").status == 200)
  }

  @Test("purges at once, on two replicas and while commands move, lose and count none twice")
  func race() async throws {
    let one = try await own()
    let two = World(one, on: try await Fixture(url: one.fixture.url))
    let ids = try await many(64, of: one)
    async let moved: Void = {
      for id in ids { while (try? await one.report(id, .succeeded)) == nil {} }
    }()
    var deleted: Int64 = 0
    while deleted < 64 {
      async let a = one.ask(.post, "commands/purge", ["older_than_days": 0]).json["deleted"]?.int
      async let b = two.ask(.post, "commands/purge", ["older_than_days": 0]).json["deleted"]?.int
      let both = try await (a, b)
      deleted += (both.0 ?? 0) + (both.1 ?? 0)
    }
    await moved
    let counts = try await one.ask(.get, "api/v1/invariants").json
    #expect(deleted == 64 && counts["created"] == 0 && counts["holds"] == true)
  }
}
