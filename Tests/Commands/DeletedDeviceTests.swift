import FoundationEssentials
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Commands of deleted devices", .serialized)
struct DeletedDeviceTests {
  private func sweep(_ world: World) async throws {
    while try await world.fixture.service.endCommandsOfDeletedDevices(at: .now, limit: 500) {}
  }

  @Test("open ones end as FAILED, deviceDeleted, and are told of; final ones stay as they are")
  func end() async throws {
    let world = try await World()
    let ids = [try await world.command(), try await world.command()]
    // It may be handed over once more.
    try await world.report(ids[0], .sent)
    try await world.fixture.tell([.deleted(Entity.device(world.device).deletion)])
    try await sweep(world)
    for id in ids {
      let command = try await world.ask(.get, "api/v1/commands/\(id)").json
      #expect(command["status"] == "FAILED")
      #expect(command["reason"] == "deviceDeleted")
      #expect(command["error"]?["code"] == "deviceDeleted")
      #expect(command["timeline"]?.array?.last?["event"] == "deviceDeleted")
    }
    // It was at it all the while.
    try await world.report(ids[0], .succeeded)
    let late = try await world.ask(.get, "api/v1/commands/\(ids[0])").json
    #expect(late["status"] == "FAILED" && late["lateOutcome"]?["status"] == "SUCCESS")
    let told = try await world.fixture.outbox(world.device.deviceId, .commandsEvents)
      .filter { $0.type == "martlet.command.deviceDeleted" }
    #expect(told.compactMap { $0.json["commandId"]?.string }.sorted() == ids.sorted())
    let withdrawn = try await world.fixture.outbox(world.device.deviceId, .deviceDownlink)
      .filter { $0.type == Downlink.withdrawType }
    #expect(withdrawn.compactMap { $0.json["id"]?.string }.sorted() == ids.sorted(), "nobody gets them")
    let open = try await world.fixture.runtime.database.query(
      "SELECT count(*) FROM open_command WHERE device_id = \(world.device.deviceId)")
    #expect(try open.first?.decode(Int64.self) == 0)
    #expect(
      try await world.ask(.post, "api/v1/devices/\(world.device.deviceId)/commands", ["type": "REBOOT"])
        .status == 404)
  }

  @Test("the next owner of the deviceId keeps its commands")
  func nextOwner() async throws {
    let first = try await World()
    let old = try await first.command()
    try await first.fixture.tell([.deleted(Entity.device(first.device).deletion)])
    let next = try await World(deviceId: first.device.deviceId)
    let new = try await next.command()
    try await sweep(first)
    #expect(try await first.ask(.get, "api/v1/commands/\(old)").json["status"] == "FAILED")
    #expect(try await next.ask(.get, "api/v1/commands/\(new)").json["status"] == "PENDING")
  }

  @Test("a command whose insert was under way when the device went is found by the second look")
  func late() async throws {
    let world = try await World()
    try await world.fixture.tell([.deleted(Entity.device(world.device).deletion)])
    try await sweep(world)
    let id = UUID.v7()
    let database = world.fixture.runtime.database
    try await database.query(
      """
      INSERT INTO command (id, organisation_id, device_id, hardware_id, type, params, lane, created_at, created_by,
        deliver_seconds, acknowledge_seconds, complete_seconds, status, deadline, attempts, rev, timeline)
      VALUES (\(id), \(world.organisation), \(world.device.deviceId), 'm', 'REBOOT', '{}', 'default', now(), 'root',
        30, 30, 30, 'PENDING', now() + interval '1 h', 1, 1, '')
      """)
    try await database.query(
      """
      INSERT INTO open_command (id, seq, device_id, look_at, epoch, device_record, lane)
      VALUES (\(id), 1, \(world.device.deviceId), now() + interval '1 h', 0, \(world.device.id), 'default')
      """)
    try await database.query(
      "UPDATE directory_deletion SET look_at = now() WHERE id = \(world.device.id) AND look_at > now()")
    try await sweep(world)
    #expect(try await world.ask(.get, "api/v1/commands/\(id.text)").json["reason"] == "deviceDeleted")
    let look = try await database.query(
      "SELECT look_at FROM directory_deletion WHERE id = \(world.device.id)")
    #expect(try look.first?.decode(Date?.self) == nil, "and that was the last")
  }

  @Test("a device that has the deviceId of one before it has a history of its own")
  func history() async throws {
    let first = try await World(on: Fixture(url: PostgresServer.shared().createDatabase("commands")))
    let old = try await first.command(["type": "REBOOT", "waitTimeoutMs": 60_000])
    try await first.fixture.tell([.deleted(Entity.device(first.device).deletion)])
    while try await first.fixture.service.endCommandsOfDeletedDevices(at: .now, limit: 500) {}
    let device = DeviceEntity(
      id: .v7(), deviceId: first.device.deviceId, mcuId: "other", soc: "esp32", boardId: first.board,
      organisationId: first.organisation, rev: 1)
    try await first.fixture.tell([.present(.device(device))])
    let new = try await first.command()
    for list in ["api/v1/devices/\(device.deviceId)/commands", "devices/\(device.id.text)/commands"] {
      let items = try await first.ask(.get, list).json["items"]?.array ?? []
      #expect(items.compactMap { $0["id"]?.string ?? $0["command_id"]?.string } == [new])
    }
    let path = "api/v1/devices/\(device.deviceId)/commands"
    #expect(try await first.ask(.get, "\(path)/\(old)").status == 404)
    #expect(try await first.ask(.get, "\(path)/\(new)").status == 200)
    #expect(try await first.ask(.post, "\(path)/\(old)/cancel").status == 404)
    // It is kept all the same, and is not made once more for a device that is another.
    #expect(try await first.ask(.get, "api/v1/commands/\(old)").json["reason"] == "deviceDeleted")
    #expect(try await first.ask(.get, "commands").json["items"]?.array?.count == 2)
    #expect(try await first.ask(.post, "commands/\(old)/retry").status == 409)
  }
}
