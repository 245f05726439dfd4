import CommandsDomain
import Foundation
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Whether a command's device is connected")
struct PresenceTests {
  private func online(_ world: World) async throws -> JSON {
    let made = try await world.ask(
      .post, "api/v1/devices/\(world.device.deviceId)/commands", ["type": "REBOOT"])
    #expect(made.status == 201)
    return try #require(made.json["deviceOnline"])
  }

  private func say(_ world: World, _ reports: [DeviceReport]) async throws {
    try await world.fixture.runtime.database.applying {
      _ = try await world.fixture.service.apply(reports.map { (world.device.deviceId, $0) }, on: $0)
    }
  }

  @Test("a new command says it, and since when; a device never heard from is not")
  func said() async throws {
    let world = try await World()
    #expect(try await online(world) == ["online": false])
    try await say(world, [.heard(reconnected: true)])
    let there = try await online(world)
    let since = try #require(there["since"]?.string.flatMap { Date(rfc3339: $0) })
    #expect(there["online"] == true && abs(since.timeIntervalSinceNow) < 60)
    // The same again is no news.
    try await say(world, [.heard(reconnected: true), .heard(reconnected: false)])
    #expect(try await online(world) == there)
    try await say(world, [.gone()])
    #expect(try await online(world)["online"] == false)
    let other = try await world.ask(.post, "devices/\(world.device.deviceId)/commands", ["command": "REBOOT"])
    #expect(other.status == 201 && other.json["device_online"] == nil && other.json["deviceOnline"] == nil)
  }

  @Test("any packet proves it, on every replica; what comes just behind the will does not")
  func packet() async throws {
    let url = try await PostgresServer.shared().createDatabase("commands")
    let one = try await World(on: Fixture(url: url))
    let two = World(one, on: try await Fixture(url: url))
    try await say(one, [.heard(reconnected: false)])
    #expect(try await online(two)["online"] == true)
    let gone = Date.now.wholeMilliseconds + 1
    try await say(one, [.gone(at: gone), .heard(reconnected: false, at: gone + 0.1)])
    #expect(try await online(two)["online"] == false)
    try await say(two, [.heard(reconnected: false, at: gone + 0.2)])
    #expect(try await online(two)["online"] == false)
    try await one.fixture.runtime.database.query("UPDATE device_presence SET since = since - interval '2 s'")
    try await say(two, [.heard(reconnected: false)])
    #expect(try await online(one)["online"] == true)
    // A will that comes after the reconnect, and the reconnect in one batch: the last counts.
    try await say(one, [.gone(), .heard(reconnected: true)])
    #expect(try await online(one)["online"] == true)
  }

  @Test("the newest word counts, whatever order the batches come in; the rule is the registry's")
  func times() async throws {
    let world = try await World()
    let start = Date.now.wholeMilliseconds - 60
    func expect(_ online: Bool, since: Double, _ reports: [DeviceReport]) async throws {
      try await say(world, reports)
      let now = try await self.online(world)
      let told = try #require(now["since"]?.string.flatMap { Date(rfc3339: $0) })
      #expect(now["online"] == .bool(online) && abs(told.timeIntervalSince(start) - since) < 0.002)
    }
    // What was retained fills in where nothing is known, and tells nothing new.
    try await expect(true, since: 0, [.retained(at: start)])
    try await expect(false, since: 1, [.gone(at: start + 1)])
    try await expect(false, since: 1, [.retained(at: start + 2)])
    // An older word changes nothing.
    try await expect(false, since: 1, [.heard(reconnected: true, at: start + 0.5)])
    // A packet of another session proves nothing so soon after its word, one of the session that brings presence does.
    try await expect(false, since: 1, [.heard(reconnected: false, at: start + 1.2)])
    try await expect(true, since: 1.1, [.heard(reconnected: false, at: start + 1.1, isInOrder: true)])
    try await expect(false, since: 3, [.gone(at: start + 3)])
    try await expect(true, since: 3.3, [.heard(reconnected: false, at: start + 3.3)])
    // In one batch, in any order: state, then the will, of one moment.
    try await expect(
      false, since: 4,
      [
        .heard(reconnected: false, at: start + 4, isInOrder: true), .gone(at: start + 4),
      ])
    try await expect(true, since: 5, [.heard(reconnected: true, at: start + 5), .gone(at: start + 4.5)])
  }

  @Test("an owner's device that is deleted is not there for the next")
  func deleted() async throws {
    let world = try await World(on: Fixture(url: PostgresServer.shared().createDatabase("commands")))
    try await say(world, [.heard(reconnected: true)])
    try await world.fixture.tell([.deleted(Entity.device(world.device).deletion)])
    while try await world.fixture.service.endCommandsOfDeletedDevices(at: .now, limit: 500) {}
    let next = try await World(on: world.fixture, deviceId: world.device.deviceId)
    #expect(try await online(next) == ["online": false])
  }
}
