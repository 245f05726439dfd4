import FoundationEssentials
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
    try await world.fixture.tell([.deleted(Entity.device(world.device).deletion)])
    try await sweep(world)
    for id in ids {
      let command = try await world.ask(.get, "api/v1/commands/\(id)").json
      #expect(command["status"] == "FAILED")
      #expect(command["reason"] == "deviceDeleted")
      #expect(command["error"]?["code"] == "deviceDeleted")
      #expect(command["timeline"]?.array?.last?["event"] == "deviceDeleted")
    }
    let told = try await world.fixture.outbox(world.device.deviceId, .commandsEvents)
      .filter { $0.type == "martlet.command.deviceDeleted" }
    #expect(told.compactMap { $0.json["commandId"]?.string }.sorted() == ids.sorted())
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
      INSERT INTO open_command (id, seq, device_id, look_at, epoch, device_record)
      VALUES (\(id), 1, \(world.device.deviceId), now() + interval '1 h', 0, \(world.device.id))
      """)
    try await database.query(
      "UPDATE directory_deletion SET look_at = now() WHERE id = \(world.device.id) AND look_at > now()")
    try await sweep(world)
    #expect(try await world.ask(.get, "api/v1/commands/\(id.text)").json["reason"] == "deviceDeleted")
    let look = try await database.query(
      "SELECT look_at FROM directory_deletion WHERE id = \(world.device.id)")
    #expect(try look.first?.decode(Date?.self) == nil, "and that was the last")
  }
}
