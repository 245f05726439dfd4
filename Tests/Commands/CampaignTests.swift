import CommandsDomain
import FoundationEssentials
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Campaigns")
struct CampaignTests {
  @Test("to a group, a board, a sensor profile, a device: each device has one command, and all is counted")
  func targets() async throws {
    let crowd = try await Crowd(12, members: 5, withComponent: 3)
    let board: JSON = ["type": "DEVICE_PROFILE", "id": .string(crowd.world.board.text)]
    let profile: JSON = ["type": "SENSOR_PROFILE", "id": .string(crowd.sensorProfile.text)]
    let device: JSON = ["type": "DEVICE", "id": .string(crowd.devices[0].mcuId)]
    for (target, total) in [(crowd.toGroup, 5), (board, 13), (profile, 3), (device, 1)] {
      let campaign = try await crowd.start(target, ["params": ["delaySeconds": 1], "lane": "slow"])
      #expect(campaign["status"] == "RUNNING" && campaign["total"]?.int == Int64(total))
      #expect(campaign["target"] == target && campaign["type"] == "REBOOT" && campaign["unknown"] == [])
      #expect(campaign["counts"]?["waiting"]?.int == Int64(total))
      #expect(campaign["createdBy"] == "root" && campaign["ratePerMinute"] == nil)
      try await crowd.run(campaign)
      let commands = try await crowd.commands(campaign)
      #expect(commands.count == total && Set(commands.compactMap { $0["deviceId"]?.string }).count == total)
      #expect(commands.allSatisfy { $0["bulkId"] == campaign["id"] && $0["lane"] == "slow" })
      #expect(commands.allSatisfy { $0["params"] == ["delaySeconds": 1] && $0["status"] == "PENDING" })
      #expect(try await crowd.addsUp(campaign))
    }
  }

  @Test(
    "a list names devices in any way: one named twice counts once, and unknown are nobody's and others' alike"
  )
  func list() async throws {
    let (crowd, other) = (try await Crowd(4), try await World())
    let names = [
      crowd.devices[0].deviceId, crowd.devices[0].id.text, crowd.devices[0].mcuId, "nobody", "nobody",
      crowd.devices[1].mcuId, other.device.deviceId, crowd.devices[1].mcuId,
    ]
    let campaign = try await crowd.start(["deviceIds": .array(names.map { .string($0) })])
    #expect(campaign["total"] == 2)
    #expect(campaign["unknown"] == ["nobody", .string(other.device.deviceId)])
    try await crowd.run(campaign)
    let devices = try await crowd.commands(campaign).compactMap { $0["deviceId"]?.string }
    #expect(Set(devices) == Set(crowd.devices.prefix(2).map(\.deviceId)) && devices.count == 2)
    let nobody = try await crowd.start(["deviceIds": ["nobody"]])
    try await crowd.run(nobody)
    let done = try await crowd.read(nobody)
    #expect(done["status"] == "DONE" && done["total"] == 0 && done["finishedAt"] != nil)
  }

  @Test("it is done when every command is final; the counts and the list are the same rows")
  func lifecycle() async throws {
    let crowd = try await Crowd(9)
    let campaign = try await crowd.start(crowd.toGroup)
    try await crowd.run(campaign)
    let commands = try await crowd.commands(campaign)
    try await crowd.report(.sent, Array(commands[0...6]))
    try await crowd.report(.acknowledged, Array(commands[0...4]))
    try await crowd.report(.succeeded, Array(commands[0...1]))
    try await crowd.report(.failed, [commands[2]])
    try await crowd.report(.deadlinePassed, [commands[3]])
    try await crowd.run(campaign)
    var state = try await crowd.read(campaign)
    #expect(state["status"] == "RUNNING" && state["finishedAt"] == nil)
    #expect(
      state["counts"] == [
        "waiting": 0, "pending": 2, "sent": 2, "acknowledged": 1, "success": 2, "failed": 1, "timeout": 1,
        "cancelled": 0,
      ])
    #expect(try await crowd.addsUp(campaign))
    #expect(try await crowd.commands(campaign, "&status=SENT").count == 2)
    #expect(try await crowd.commands(campaign, "&reason=device").count == 1)
    #expect(try await crowd.commands(campaign, "&status=TIMEOUT&reason=notCompleted").count == 1)
    try await crowd.report(.succeeded, Array(commands[4...8]))
    try await crowd.run(campaign)
    state = try await crowd.read(campaign)
    #expect(state["status"] == "DONE" && state["finishedAt"] != nil && state["counts"]?["success"] == 7)
    #expect(try await crowd.addsUp(campaign))
    let told = try await crowd.world.fixture.outbox(campaign["id"]?.string ?? "", .commandsEvents)
    #expect(told.map(\.type) == ["martlet.campaign.created", "martlet.campaign.finished"])
    #expect(
      told.last?.json["counts"] == state["counts"] && told.compactMap { $0.json["rev"]?.int } == [1, 2])
    let single = try await crowd.world.ask(.get, "api/v1/commands/\(commands[0]["id"]?.string ?? "")").json
    #expect(single["bulkId"] == campaign["id"])
    // Its devices are forgotten, and nothing is to be done for it any more.
    try await crowd.run(campaign)
    let left = try await crowd.database.query(
      "SELECT (SELECT count(*) FROM campaign_device) + (SELECT count(*) FROM campaign WHERE run_at IS NOT NULL)"
    )
    #expect(try left.first?.decode(Int64.self) == 0)
  }

  @Test("cancel gives up what is waiting and what is PENDING, and leaves alone what was sent")
  func cancel() async throws {
    let crowd = try await Crowd(500)
    let campaign = try await crowd.start(crowd.toGroup)
    try await crowd.run(campaign)
    let commands = try await crowd.commands(campaign)
    #expect(commands.count == CampaignPace.window)
    try await crowd.report(.sent, Array(commands.prefix(30)))
    let path = "api/v1/commands/bulk/\(campaign["id"]?.string ?? "")"
    let answer = try await crowd.world.ask(.post, path + "/cancel")
    #expect(answer.status == 200 && answer.json["status"] == "CANCELLED")
    #expect(answer.json["counts"]?["cancelled"] == 470 && answer.json["counts"]?["sent"] == 30)
    #expect(answer.json["finishedAt"] == nil)
    #expect(try await crowd.addsUp(campaign))
    #expect(try await crowd.commands(campaign, "&reason=cancelled&status=FAILED").count == 470)
    #expect(try await crowd.world.ask(.post, path + "/cancel").status == 409)
    try await crowd.report(.succeeded, Array(commands.prefix(30)))
    try await crowd.run(campaign)
    let state = try await crowd.read(campaign)
    #expect(state["status"] == "CANCELLED" && state["finishedAt"] != nil && state["counts"]?["success"] == 30)
    let told = try await crowd.world.fixture.outbox(campaign["id"]?.string ?? "", .commandsEvents)
    #expect(
      told.map(\.type) == [
        "martlet.campaign.created", "martlet.campaign.cancelled", "martlet.campaign.finished",
      ])
    let invariants = try await crowd.world.ask(.get, "api/v1/invariants").json
    #expect(invariants["holds"] == true && invariants["created"] == 500 && invariants["open"] == 0)
  }

  @Test("retry makes a campaign of exactly those that FAILED or TIMEOUT, each tied to its original")
  func retry() async throws {
    let crowd = try await Crowd(8)
    let campaign = try await crowd.start(crowd.toGroup, ["params": ["n": 9_007_199_254_740_993]])
    try await crowd.run(campaign)
    let commands = try await crowd.commands(campaign)
    try await crowd.report(.succeeded, Array(commands[0...2]))
    try await crowd.report(.failed, Array(commands[3...4]))
    try await crowd.report(.deadlinePassed, [commands[5]])
    try await crowd.report(.cancelled, [commands[6]])
    let gone = crowd.devices.first { .string($0.deviceId) == commands[4]["deviceId"] }
    try await crowd.world.fixture.tell([.deleted(Entity.device(try #require(gone)).deletion)])
    // Another one that has its deviceId since is not meant.
    try await crowd.world.fixture.tell([.present(.device(try #require(gone?.again)))])
    let path = "api/v1/commands/bulk/\(campaign["id"]?.string ?? "")/retry"
    let answer = try await crowd.world.ask(.post, path)
    #expect(answer.status == 202 && answer.json["total"] == 3 && answer.json["retryOf"] == campaign["id"])
    #expect(answer.json["target"] == campaign["target"])
    try await crowd.run(answer.json)
    let again = try await crowd.commands(answer.json)
    #expect(
      Set(again.compactMap { $0["retryOf"]?.string }) == Set(commands[3...5].compactMap { $0["id"]?.string }))
    #expect(again.allSatisfy { $0["params"]?["n"] == 9_007_199_254_740_993 })
    #expect(again.filter { $0["reason"] == "deviceDeleted" }.count == 1)
    let original = try await crowd.world.ask(.get, "api/v1/commands/\(commands[3]["id"]?.string ?? "")").json
    #expect(original["retriedBy"] == again.first { $0["retryOf"] == original["id"] }?["id"])
    #expect(original["timeline"]?.array?.last?["event"] == "retried")
    #expect(try await crowd.addsUp(campaign))
    #expect(try await crowd.addsUp(answer.json))
  }

  @Test("a list leaves out what is long, and the campaign itself does not")
  func long() async throws {
    let crowd = try await Crowd(1)
    let names = [crowd.devices[0].deviceId] + (0..<150).map { "nobody-\($0)" }
    let few: JSON = ["deviceIds": [.string(names[0]), "nobody"]]
    let many = try await crowd.start(["deviceIds": .array(names.map { .string($0) })])
    _ = try await crowd.start(few)
    let list = try await crowd.world.ask(.get, "api/v1/commands/bulk").json["items"]?.array ?? []
    #expect(list.map { $0["target"] } == [few, nil])
    #expect(list.map { $0["unknown"] } == [["nobody"], nil])
    #expect(list.allSatisfy { $0["type"] == "REBOOT" && $0["total"] == 1 })
    let whole = try await crowd.world.ask(.get, "api/v1/commands/bulk/\(many["id"]?.string ?? "")").json
    #expect(whole["target"]?["deviceIds"]?.array?.count == 151 && whole["unknown"]?.array?.count == 150)
  }

  @Test("what a catalogue does not allow is named by a dry run, and counts as FAILED in a real one")
  func refused() async throws {
    let schema: JSON = ["type": "object", "required": ["level"]]
    let crowd = try await Crowd(3, catalogue: ["dim": ["paramsSchema": schema]])
    let other = UUID.v7()
    let device = DeviceEntity(
      id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: "m", soc: "nrf", boardId: other,
      organisationId: crowd.world.organisation, groupIds: [crowd.group], rev: 1)
    try await crowd.world.fixture.tell([
      .present(
        .board(
          BoardEntity(
            id: other, organisationId: crowd.world.organisation, soc: "nrf", isPublic: false, deviceType: nil,
            configSchemas: [:], commandCatalogue: [:], rev: 1))), .present(.device(device)),
    ])
    try await crowd.database.query(
      """
      INSERT INTO device_presence (device_id, online, since) VALUES (\(device.deviceId), true, now()),
        (\(crowd.devices[0].deviceId), false, now())
      """)
    let body: JSON = ["target": crowd.toGroup, "type": "dim", "params": ["level": 3], "ratePerMinute": 3]
    var dry = body.object ?? [:]
    dry["dryRun"] = true
    let looked = try await crowd.world.ask(.post, "api/v1/commands/bulk", .object(dry))
    #expect(looked.status == 200 && looked.json["total"] == 4 && looked.json["minutes"] == 2)
    #expect(looked.json["online"] == 1 && looked.json["offline"] == 3 && looked.json["unknown"] == [])
    #expect(looked.json["refused"]?.array?.compactMap { $0["deviceId"]?.string } == [device.deviceId])
    #expect(looked.json["refused"]?.array?[0]["reason"]?.string?.contains("/type must be one of") == true)
    #expect(try await crowd.world.ask(.get, "api/v1/commands/bulk").json["items"] == [])
    let rows = try await crowd.database.query("SELECT count(*) FROM campaign_device")
    #expect(try rows.first?.decode(Int64.self) == 0)
    let campaign = try await crowd.start(crowd.toGroup, ["type": "dim", "params": ["level": 3]])
    try await crowd.run(campaign)
    let failed = try await crowd.commands(campaign, "&status=FAILED&reason=refused")
    #expect(failed.compactMap { $0["deviceId"]?.string } == [device.deviceId])
    #expect(failed[0]["error"]?["message"] == looked.json["refused"]?.array?[0]["reason"])
    #expect(try await crowd.read(campaign)["counts"]?["failed"] == 1)
    #expect(try await crowd.addsUp(campaign))
    // Params that fit nobody.
    let none = try await crowd.start(crowd.toGroup, ["type": "dim"])
    try await crowd.run(none)
    #expect(try await crowd.read(none)["counts"]?["failed"] == 4)
    #expect(try await crowd.read(none)["status"] == "DONE")
  }

  @Test("deleted and purged commands still count as what they were")
  func deleted() async throws {
    let crowd = try await Crowd(6)
    let campaign = try await crowd.start(crowd.toGroup)
    try await crowd.run(campaign)
    let commands = try await crowd.commands(campaign)
    try await crowd.report(.succeeded, Array(commands[0...2]))
    #expect(
      try await crowd.world.ask(.delete, "commands/\(commands[5]["id"]?.string ?? "")").status == 200)
    let purged = try await crowd.world.ask(.post, "commands/purge", ["older_than_days": 0])
    #expect(purged.json["deleted"] == 3)
    var state = try await crowd.read(campaign)
    #expect(state["counts"]?["success"] == 3 && state["counts"]?["cancelled"] == 1)
    #expect(state["counts"]?["pending"] == 2 && state["total"] == 6)
    #expect(CampaignCounts(json: state["counts"] ?? .null).total == 6)
    try await crowd.report(.failed, Array(commands[3...4]))
    try await crowd.run(campaign)
    let last = try await crowd.read(campaign)
    #expect(last["status"] == "DONE" && last["counts"]?["failed"] == 2)
    _ = try await crowd.world.ask(.post, "commands/purge", ["older_than_days": 0])
    state = try await crowd.read(campaign)
    #expect(state["counts"] == last["counts"])
    #expect(try await crowd.commands(campaign).isEmpty)
  }
}

extension DeviceEntity {
  /// A device that was made after this one was deleted, with the same names.
  fileprivate var again: DeviceEntity {
    DeviceEntity(
      id: .v7(), deviceId: deviceId, mcuId: mcuId, soc: soc, boardId: boardId, organisationId: organisationId,
      networkId: networkId, groupIds: groupIds, components: components, rev: 1)
  }
}
