import CommandsDomain
import Foundation
import Postgres
import TestSupport
import Testing
import Wire

@testable import CommandsService

/// Commands that are held until their device is heard from.
@Suite struct WaitTests {
  private func status(_ stored: Stored, _ id: UUID) async throws -> Command {
    try #require(try await stored.store.find(id, in: nil))
  }

  @Test func itIsSentOnceItsDeviceIsHeardFromAndHasItsTimeFromThen() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let id = try await stored.make(1, device, timeouts: 30, wait: 3_600_000)[0]
    let behind = try await stored.make(1, device, timeouts: 30)[0]
    let new = try await status(stored, id)
    #expect(new.state.deadline == new.createdAt + 3600 && new.state.awaitsDevice && new.state.attempts == 0)
    // None of these is its device.
    let other = try await stored.device()
    try await stored.report([
      (device.deviceId, .gone()), (device.deviceId, .retained()),
      (device.deviceId, .heard(reconnected: false, at: new.createdAt - 1)),
      (other.deviceId, .heard(reconnected: false)), ("bridge", .brokerConnected(offset: 3)),
    ])
    #expect(try await stored.turns().isEmpty)
    #expect(try await status(stored, id) == new)
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    #expect(try await stored.turns().map(\.id) == [id, behind])
    let heard = try await status(stored, id)
    #expect(heard.state.timeline.map(\.event) == ["created", "heard", "dispatched"])
    let deadline = try #require(heard.state.deadline)
    #expect(
      abs(deadline.timeIntervalSince(heard.state.timeline[1].at) - 30) < 0.002 && !heard.state.awaitsDevice)
    // The sweeper knows: it is looked at by its new deadline.
    #expect(
      try await stored.number(
        "SELECT count(*) FROM open_command WHERE id = \(id) AND look_at <= now() + interval '31 s'") == 1)
    // Once is enough: it is never held again.
    try await stored.say(.undelivered, [id], of: device, why: .noSubscriber)
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    #expect(try await stored.turns().map(\.id) == [id])
    #expect(try await status(stored, id).state.timeline.count { $0.event == "heard" } == 1)
  }

  @Test func oneThatIsNotHeardInTimeIsTimeoutAndSaysSo() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let id = try await stored.make(1, device, wait: 50)[0]
    let behind = try await stored.make(1, device)[0]
    try await eventually("its time is over") {
      _ = try await stored.fixture.service.sweep(at: .now, limit: 500)
      return try await status(stored, id).state.status == .timeout
    }
    let over = try await status(stored, id)
    #expect(over.state.reason == "notHeard" && over.state.timeline.last?.event == "deadlinePassed")
    #expect(try await stored.turns().map(\.id) == [behind])
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    #expect(try await status(stored, id) == over)
  }

  /// Its time to be heard and its place in its lane are two things.
  @Test func oneThatStandsBehindAnotherIsHeardAllTheSame() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let exclusive = try await stored.make(1, device, exclusive: true)
    let id = try await stored.make(1, device, wait: 60_000)[0]
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    let awaits = try await status(stored, id).state.awaitsDevice
    #expect(!awaits)
    #expect(try await stored.turns().isEmpty)
    try await stored.say(.succeeded, exclusive, of: device)
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    #expect(try await stored.turns().map(\.id) == [id])
  }

  @Test func aThousandThatWaitAreHeardAtOnceAndTwoReplicasHearOnce() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(400, device, wait: 60_000)
    let other = try await stored.replica()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for fixture in [stored.fixture, other] {
        group.addTask {
          let mover = Mover("test")
          try await fixture.runtime.database.applying {
            _ = try await CommandBatch.apply(
              [(device.deviceId, .heard(reconnected: false))], by: mover, on: $0)
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try await stored.number("SELECT count(*) FROM open_command WHERE awaits_device") == 0)
    #expect(
      try await stored.number("SELECT count(*) FROM command WHERE rev = 2 AND heard_at IS NOT NULL") == 400)
    #expect(try await stored.turns().map(\.id) == Array(ids[..<12]))
  }

  @Test("the two fields: what they may be, what the command says, and that a retry has them too")
  func fields() async throws {
    let world = try await World()
    let path = "api/v1/devices/\(world.device.deviceId)/commands"
    for (body, pointer) in [
      (["exclusive": 1], "/exclusive"), (["exclusive": "true"], "/exclusive"),
      (["waitTimeoutMs": 0], "/waitTimeoutMs"), (["waitTimeoutMs": 2_592_000_001], "/waitTimeoutMs"),
      (["waitTimeoutMs": "5"], "/waitTimeoutMs"), (["waitTimeoutMs": .double(1.5)], "/waitTimeoutMs"),
      (["waitTimeoutMS": 5], "/waitTimeoutMS"),
    ] as [(JSONObject, String)] {
      var body = body
      body["type"] = "REBOOT"
      let answer = try await world.ask(.post, path, .object(body))
      #expect(answer.status == 422 && answer.json["errors"]?.array?.first?["pointer"]?.string == pointer)
    }
    let plain = try await world.ask(.post, path, ["type": "REBOOT"]).json
    #expect(plain["exclusive"] == nil && plain["waitTimeoutMs"] == nil)
    let made = try await world.ask(
      .post, path, ["type": "REBOOT", "lane": "x", "exclusive": true, "waitTimeoutMs": 90_000])
    #expect(made.status == 201)
    #expect(
      made.json["exclusive"] == true && made.json["waitTimeoutMs"] == 90_000 && made.json["attempts"] == 0)
    let times = [made.json["createdAt"], made.json["deadline"]].compactMap {
      $0?.string.flatMap { Date(rfc3339: $0) }
    }
    #expect(times.count == 2 && times[1] == times[0] + 90)
    let id = try #require(made.json["id"]?.string)
    try await world.report(id, .deadlinePassed)
    let again = try await world.ask(.post, "commands/\(id)/retry")
    let other = try #require(again.json["new_command"]?["command_id"]?.string)
    let retried = try await world.ask(.get, "api/v1/commands/\(other)").json
    #expect(retried["exclusive"] == true && retried["waitTimeoutMs"] == 90_000 && retried["attempts"] == 0)
    #expect(retried["lane"] == "x" && retried["retryOf"]?.string == id)
  }
}
