import CommandsDomain
import FoundationEssentials
import Kafka
import Postgres
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Steps of campaigns")
struct CampaignStepTests {
  @Test("four who take steps at once, on two replicas, give each device one command; all adds up meanwhile")
  func together() async throws {
    let crowd = try await Crowd(1200)
    let replica = try await Fixture(url: crowd.world.fixture.url)
    let campaign = try await crowd.start(crowd.toGroup)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for service in [crowd.service, crowd.service, replica.service, replica.service] {
        group.addTask {
          while try await crowd.waiting(campaign) > 0 {
            if try await service.stepCampaign() == nil { await Task.yield() }
          }
        }
      }
      group.addTask {
        // What the bridge would do: else the window is full.
        while try await crowd.waiting(campaign) > 0 {
          try await crowd.report(.sent, crowd.commands(campaign, "&status=PENDING"))
          let state = try await crowd.read(campaign)
          #expect(CampaignCounts(json: state["counts"] ?? .null).total == 1200)
        }
      }
      try await group.waitForAll()
    }
    let devices = try await crowd.commands(campaign).compactMap { $0["deviceId"]?.string }
    #expect(devices.count == 1200 && Set(devices).count == 1200)
    #expect(try await crowd.addsUp(campaign))
    let invariants = try await crowd.world.ask(.get, "api/v1/invariants").json
    #expect(invariants["holds"] == true && invariants["created"] == 1200)
  }

  @Test("no more than the window is on its way; what was sent, or nobody listened to, makes room")
  func window() async throws {
    let crowd = try await Crowd(900)
    let campaign = try await crowd.start(crowd.toGroup)
    try await crowd.run(campaign)
    #expect(try await crowd.waiting(campaign) == 500)
    // The newest first.
    let first = try await crowd.commands(campaign)
    try await crowd.report(.sent, Array(first.suffix(200)))
    try await crowd.run(campaign)
    #expect(try await crowd.waiting(campaign) == 300)
    try await crowd.report(.undelivered, Array(first.prefix(200)))
    try await crowd.run(campaign)
    #expect(try await crowd.waiting(campaign) == 100)
  }

  @Test("with a rate, one goes at once and no more than are due")
  func rate() async throws {
    let crowd = try await Crowd(50)
    let campaign = try await crowd.start(crowd.toGroup, ["ratePerMinute": 1])
    #expect(campaign["ratePerMinute"] == 1)
    for _ in 0..<3 { try await crowd.run(campaign) }
    #expect(try await crowd.waiting(campaign) == 49)
    // A minute later.
    try await crowd.database.query("UPDATE campaign SET paid_until = paid_until - interval '60 s'")
    try await crowd.run(campaign)
    #expect(try await crowd.waiting(campaign) == 48)
  }

  @Test("a device that goes, or changes its board, before its turn; one that the copy does not have yet")
  func changes() async throws {
    let crowd = try await Crowd(4)
    let campaign = try await crowd.start(crowd.toGroup)
    let (gone, lost) = (crowd.devices[0], crowd.devices[1])
    try await crowd.world.fixture.tell([.deleted(Entity.device(gone).deletion)])
    try await crowd.database.query("DELETE FROM directory_device WHERE id = \(lost.id)")
    try await crowd.run(campaign)
    let deleted = try await crowd.commands(campaign, "&reason=deviceDeleted").compactMap {
      $0["deviceId"]?.string
    }
    #expect(Set(deleted) == [gone.deviceId, lost.deviceId])
    #expect(try await crowd.commands(campaign, "&status=PENDING").count == 2)
    #expect(try await crowd.addsUp(campaign))
  }

  @Test("lane, exclusive and waitTimeoutMs are those of a single command")
  func delivery() async throws {
    let crowd = try await Crowd(3)
    let more: JSONObject = ["lane": "slow", "exclusive": true, "waitTimeoutMs": 60_000]
    let campaign = try await crowd.start(crowd.toGroup, more)
    try await crowd.run(campaign)
    let commands = try await crowd.commands(campaign)
    #expect(commands.count == 3)
    #expect(commands.allSatisfy { $0["lane"] == "slow" && $0["exclusive"] == true })
    #expect(commands.allSatisfy { $0["waitTimeoutMs"] == 60_000 && $0["attempts"] == 0 })
    let bad = try await crowd.world.ask(
      .post, "api/v1/commands/bulk",
      ["target": crowd.toGroup, "type": "REBOOT", "exclusive": "yes", "waitTimeoutMs": 0])
    #expect(bad.status == 422 && bad.json["errors"]?.array?.count == 2)
  }

  @Test("whoever cancels waits for who looks at a device before it holds a command: the one order of locks")
  func cancelOrder() async throws {
    let crowd = try await Crowd(3)
    let campaign = try await crowd.start(crowd.toGroup)
    try await crowd.run(campaign)
    let command = try #require(try await crowd.commands(campaign).first)
    let id = try #require(UUID(text: command["id"]?.string ?? ""))
    try await crowd.report(.undelivered, [command])
    let path = "api/v1/commands/bulk/\(campaign["id"]?.string ?? "")/cancel"
    let cancelling = try await crowd.database.withTransaction { connection in
      // As the dispatcher has it while it looks.
      try await connection.query(
        "SELECT FROM waiting_device WHERE device_id = \(command["deviceId"]?.string) FOR UPDATE")
      let cancelling = Task { try await crowd.world.ask(.post, path) }
      try await eventually("it waits") {
        try await !crowd.database.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).isEmpty
      }
      try await connection.query("SELECT FROM command WHERE id = \(id) FOR UPDATE NOWAIT")
      return cancelling
    }
    #expect(try await cancelling.value.json["counts"]?["cancelled"] == 3)
  }

  @Test("a step that the database refuses does not hold up other campaigns")
  func poison() async throws {
    let crowd = try await Crowd(2)
    let (bad, good) = (try await crowd.start(crowd.toGroup), try await crowd.start(crowd.toGroup))
    // As if it had been made before.
    let id = try #require(UUID(text: bad["id"]?.string ?? ""))
    let single = try await crowd.world.ask(
      .post, "api/v1/devices/\(crowd.devices[0].deviceId)/commands", ["type": "REBOOT"])
    let command = try #require(UUID(text: single.json["id"]?.string ?? ""))
    try await crowd.database.query("UPDATE command SET bulk_id = \(id) WHERE id = \(command)")
    await #expect(throws: CampaignFailed.self) { try await crowd.service.stepCampaign() }
    #expect(try await crowd.service.stepCampaign() == .making)
    #expect(try await crowd.waiting(good) == 0)
    #expect(try await crowd.waiting(bad) == 2)
  }
}

@Suite("Filters of campaigns")
struct CampaignFilterTests {
  private static func apply(_ pages: [SelectedDevices], _ crowd: Crowd) async throws -> Int {
    let messages = pages.enumerated().map { index, page in
      let event = page.event(traceparent: nil)
      return KafkaMessage(
        topic: event.topic.rawValue, partition: 0, offset: Int64(index), key: Array(event.key.utf8),
        value: event.payload, headers: [KafkaHeader(EventHeader.type, event.type)])
    }
    return try await crowd.database.withTransaction {
      try await SelectionInbox(service: crowd.service).apply(messages, $0).rejected.count
    }
  }

  @Test("pages come in order, again, too late, or not: each device counts once, and none is missing unseen")
  func pages() async throws {
    let crowd = try await Crowd(6)
    async let answer = crowd.start(["filter": "mcuId==mcu-*"])
    var asked: [(type: String, json: JSON)] = []
    var id: UUID?
    while id == nil {
      id = try await crowd.database.query("SELECT id FROM campaign").first?.decode(UUID.self)
    }
    let campaign = try #require(id)
    asked = try await crowd.world.fixture.outbox(campaign.text, .deviceSelection)
    #expect(asked.count == 1 && asked[0].json["filter"] == "mcuId==mcu-*")
    #expect(asked[0].json["organisationId"]?.string == crowd.world.organisation.text)
    func page(_ number: Int, _ devices: Range<Int>, isLast: Bool = false) -> SelectedDevices {
      SelectedDevices(
        id: campaign, page: number,
        devices: crowd.devices[devices].map { .init(id: $0.id, deviceId: $0.deviceId) }, isLast: isLast)
    }
    #expect(try await Self.apply([page(0, 0..<2), page(0, 0..<2)], crowd) == 0)
    #expect(try await Self.apply([page(2, 4..<6, isLast: true)], crowd) == 1, "page 1 is missing")
    #expect(try await crowd.service.stepCampaign(campaign) == .making, "what is known goes already")
    #expect(try await Self.apply([page(1, 1..<4), page(0, 0..<2), page(2, 4..<6, isLast: true)], crowd) == 0)
    #expect(try await Self.apply([page(2, 4..<6, isLast: true), page(3, 0..<6, isLast: true)], crowd) == 0)
    let started = try await answer
    #expect(started["total"] == 6)
    try await crowd.run(started)
    let devices = try await crowd.commands(started).compactMap { $0["deviceId"]?.string }
    #expect(devices.count == 6 && Set(devices) == Set(crowd.devices.map(\.deviceId)))
    #expect(try await crowd.addsUp(started))
  }

  @Test("a filter that the registry cannot answer ends its campaign; a dry run says so")
  func fault() async throws {
    let crowd = try await Crowd(1)
    async let answer = crowd.start(["filter": "mcuId==*x*"])
    async let dry = crowd.world.ask(
      .post, "api/v1/commands/bulk", ["target": ["filter": "mcuId==*x*"], "type": "REBOOT", "dryRun": true])
    var ids: [UUID] = []
    while ids.count < 2 { ids = try await crowd.database.query("SELECT id FROM campaign").decode(UUID.self) }
    for id in ids {
      _ = try await Self.apply(
        [SelectedDevices(id: id, page: 0, devices: [], isLast: true, fault: "too expensive")], crowd)
    }
    let started = try await answer
    #expect(started["status"] == "CANCELLED" && started["reason"] == "too expensive")
    let told = try await crowd.world.fixture.outbox(started["id"]?.string ?? "", .commandsEvents)
    #expect(told.map(\.type) == ["martlet.campaign.created", "martlet.campaign.cancelled"])
    #expect(told.last?.json["reason"] == "too expensive")
    let looked = try await dry
    #expect(looked.status == 422 && looked.json["detail"] == "too expensive")
    while let piece = try await crowd.service.stepCampaign() {
      if piece == .ending(from: "") { continue }
    }
    #expect(try await crowd.read(started)["finishedAt"] != nil)
    let rows = try await crowd.database.query("SELECT count(*) FROM campaign")
    #expect(try rows.first?.decode(Int64.self) == 1, "the dry run is gone")
  }
}
