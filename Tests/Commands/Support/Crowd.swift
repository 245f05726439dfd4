import CommandsDomain
import FoundationEssentials
import HTTP
import Postgres
import TestSupport
import Wire

@testable import CommandsService

/// An organisation with several devices on one board, on a database of its own; what runners would do is done by the test.
struct Crowd: Sendable {
  let world: World
  let devices: [DeviceEntity]
  let group: UUID
  let sensorProfile: UUID

  var service: CommandsService { world.fixture.service }
  var database: PostgresClient { world.fixture.runtime.database }
  var ids: JSON { .array(devices.map { .string($0.deviceId) }) }

  /// - Parameters:
  ///   - members: how many of the devices, the first of them, are in `group`.
  ///   - withComponent: how many have a component of `sensorProfile`.
  init(_ count: Int, members: Int? = nil, withComponent: Int = 0, catalogue: JSONObject = [:]) async throws {
    let fixture = try await Fixture(url: PostgresServer.shared().createDatabase("commands"))
    let world = try await World(on: fixture, catalogue: catalogue)
    (group, sensorProfile) = (.v7(), .v7())
    let (group, profile) = (group, sensorProfile)
    devices = (0..<count).map { index in
      let id = Identifier.randomDeviceId()
      return DeviceEntity(
        id: .v7(), deviceId: id, mcuId: "mcu-\(id)", soc: "esp32", boardId: world.board,
        organisationId: world.organisation, groupIds: index < members ?? count ? [group] : [],
        components: index < withComponent
          ? [ComponentEntity(id: .v7(), key: "imu0", sensorProfileId: profile)] : [], rev: 1)
    }
    self.world = world
    try await fixture.tell([
      .present(.group(GroupEntity(id: group, organisationId: world.organisation, name: "g", rev: 1))),
      .present(
        .sensorProfile(
          SensorProfileEntity(
            id: profile, organisationId: world.organisation, name: "p", configSchemas: [:], rev: 1))),
    ])
    for start in stride(from: 0, to: devices.count, by: 5000) {
      try await fixture.tell(devices[start...].prefix(5000).map { .present(.device($0)) })
    }
  }

  /// The target of all members.
  var toGroup: JSON { ["type": "DEVICE_GROUP", "id": .string(group.text)] }

  /// Makes a campaign and gives its answer.
  func start(_ target: JSON, _ more: JSONObject = [:]) async throws -> JSON {
    var body: JSONObject = ["target": target, "type": "REBOOT"]
    for member in more.members { body[member.name] = member.value }
    let answer = try await world.ask(.post, "api/v1/commands/bulk", .object(body))
    guard answer.status == 202 else {
      throw TestSupportError("no campaign: \(answer.status) \(answer.json.text)")
    }
    return answer.json
  }

  func read(_ campaign: JSON) async throws -> JSON {
    try await world.ask(.get, "api/v1/commands/bulk/\(campaign["id"]?.string ?? "")").json
  }

  /// How many devices have no command yet.
  func waiting(_ campaign: JSON) async throws -> Int64 {
    try await read(campaign)["counts"]?["waiting"]?.whole ?? -1
  }

  /// The commands of a campaign, all pages of them.
  func commands(_ campaign: JSON, _ filter: String = "", limit: Int = 1000) async throws -> [JSON] {
    var (all, cursor): ([JSON], String?) = ([], nil)
    repeat {
      let page = try await world.ask(
        .get,
        "api/v1/commands/bulk/\(campaign["id"]?.string ?? "")/commands?limit=\(limit)\(filter)"
          + (cursor.map { "&cursor=\($0)" } ?? ""))
      guard page.status == 200 else { throw TestSupportError("no list: \(page.json.text)") }
      all += page.json["items"]?.array ?? []
      cursor = page.json["nextCursor"]?.string
    } while cursor != nil
    return all
  }

  /// Does what is due for a campaign, until nothing can be done but wait.
  func run(_ campaign: JSON) async throws {
    guard let id = campaign["id"]?.string.flatMap({ UUID(text: $0) }) else {
      throw TestSupportError("no campaign")
    }
    while let piece = try await service.stepCampaign(id) {
      if case .ending = piece {
        let state = try await read(campaign)
        if state["finishedAt"] == nil { return }
      }
      if piece == .forgetting || piece == .selecting { return }
      if piece == .making, try await isHeld(id) { return }
    }
  }

  /// Whether the next step has to wait.
  private func isHeld(_ id: UUID) async throws -> Bool {
    try await database.query("SELECT run_at > now() + interval '5 ms' FROM campaign WHERE id = \(id)")
      .first?.decode(Bool.self) ?? true
  }

  /// What the bridge or devices say of these commands.
  func report(_ event: CommandEvent, _ commands: [JSON]) async throws {
    let reports: [(deviceId: String, report: DeviceReport)] = commands.compactMap { command in
      guard let id = command["id"]?.string.flatMap({ UUID(text: $0) }),
        let device = command["deviceId"]?.string
      else { return nil }
      return (device, .command(id, CommandOccurrence(event, at: .now), answered: nil))
    }
    try await database.applying { _ = try await service.apply(reports, on: $0) }
  }

  /// Whether the counts of a campaign are all of its devices, and what its list says.
  func addsUp(_ campaign: JSON) async throws -> Bool {
    let (state, list) = (try await read(campaign), try await commands(campaign, limit: 97))
    let counts = CampaignCounts(json: state["counts"] ?? .null)
    var listed = CampaignCounts()
    for command in list {
      let isCancelled = command["status"] == "FAILED" && command["reason"] == "cancelled"
      listed.add(1, isCancelled ? CampaignCounts.cancelledWord : command["status"]?.string ?? "")
    }
    listed.waiting = counts.waiting
    return counts.total == state["total"]?.whole && listed.json == counts.json
  }
}
