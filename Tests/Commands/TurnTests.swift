import CommandsDomain
import Foundation
import Postgres
import Testing
import Wire

@testable import CommandsService

/// The order of a device's commands and the window, on a real database (decision 16).
@Suite struct TurnTests {
  @Test func theWindowHoldsWhenReplicasStoreAtOnce() async throws {
    let stored = try await Stored()
    let replicas = [try await stored.replica(), try await stored.replica()]
    let devices = [try await stored.device(), try await stored.device()]
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<60 {
        group.addTask {
          let new = [stored.new(devices[number % 2]), stored.new(devices[(number + 1) % 2])]
          let inserted = try await replicas[number % 2].insert(new, epoch: 0)
          #expect(inserted.stale.isEmpty)
        }
      }
      try await group.waitForAll()
    }
    for device in devices {
      let (given, waiting) = try #require(
        await stored.database.query(
          """
          SELECT count(epoch), count(*) - count(epoch) FROM open_command WHERE device_id = \(device.deviceId)
          """
        ).first?.decode((Int64, Int64).self))
      #expect(given == 12)
      #expect(waiting == 48)
      // None that waits is older than one that went.
      #expect(
        try await stored.number(
          """
          SELECT count(*) FROM open_command w JOIN open_command g USING (device_id)
          WHERE w.device_id = \(device.deviceId) AND w.epoch IS NULL AND g.epoch IS NOT NULL AND w.seq < g.seq
          """) == 0)
    }
    #expect(try await stored.number("SELECT count(*) FROM waiting_device") == 2)
  }

  @Test func whatNobodyListensToGoesAgainInOrderAndLessAndLessOften() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(3, device)
    /// Nobody listened to the first: in how many seconds its device is looked at, as of that moment.
    func undelivered() async throws -> Double? {
      try await stored.database.withTransaction { connection in
        let why = Undelivered.noSubscriber.rawValue
        let report = CommandOccurrence(.undelivered, at: .now, detail: why)
        _ = try await CommandBatch.apply(
          [(device.deviceId, .command(ids[0], report, answered: nil))], by: Mover("test"), on: connection)
        return try await connection.query(
          "SELECT extract(epoch FROM try_at - now())::float8 FROM waiting_device"
        ).first?.decode(Double.self)
      }
    }
    // The bridge held the others back.
    #expect(try await undelivered() == 1)
    try await stored.say(.undelivered, [ids[1], ids[2]], of: device, why: .held)
    let behind = try await stored.make(1, device)
    var turn: Int64 = 0
    for pause in [2, 4, 8, 16] as [Double] {
      try await stored.wait(seconds: 1000)
      // One is tried; the others are not.
      let given = try await stored.turns()
      #expect(given.map(\.id) == [ids[0]])
      #expect(given.allSatisfy { $0.turn.number > turn })
      turn = given.first?.turn.number ?? 0
      #expect(try await undelivered() == pause)
    }
    // The next one is delivered: it listens, and the others go at once.
    try await stored.wait(seconds: 1000)
    #expect(try await stored.turns().map(\.id) == [ids[0]])
    try await stored.say(.sent, [ids[0]], of: device)
    #expect(try await stored.turns().map(\.id) == Array(ids[1...]) + behind)
    try await stored.say(.sent, Array(ids[1...]) + behind, of: device)
    try await stored.wait(seconds: 1000)
    #expect(try await stored.turns().isEmpty)
    #expect(try await stored.number("SELECT count(*) FROM waiting_device") == 0)
  }

  @Test func aDeviceThatIsHeardOfGetsAllThatWaitsAtOnce() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(5, device)
    try await stored.say(.undelivered, [ids[0]], of: device, why: .noSubscriber)
    try await stored.say(.undelivered, Array(ids[1...]), of: device, why: .held)
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    #expect(try await stored.turns().map(\.id) == ids)
  }

  @Test func afterTheBrokersLossAllGoAgainBeforeWhatIsNew() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let sent = try await stored.make(3, device)
    try await stored.say(.sent, sent, of: device)
    try await stored.say(.acknowledged, [sent[0]], of: device)
    try await stored.report([("bridge", .brokerConnected(offset: 41))])
    #expect(try await stored.store.epoch() == 41)
    // A replica that has not heard of it stores nothing with the old epoch.
    let old = stored.new(device)
    #expect(try await stored.insert([old], epoch: 0).stale == [old.command.head.id])
    let later = try await stored.make(2, device, epoch: 41)
    #expect(try await stored.database.query(CommandStore.walk(limit: 100)).first?.decode(Bool.self) == false)
    #expect(try await stored.database.query(CommandStore.walk(limit: 100)).first?.decode(Bool.self) == true)
    #expect(try await stored.database.query(CommandStore.walk(limit: 100)).isEmpty)
    let given = try await stored.turns()
    #expect(given.map(\.id) == [sent[1], sent[2]] + later)
    #expect(given.allSatisfy { $0.turn.epoch == 41 })
    // One that the device acknowledged before does not hold up what comes after.
    try await stored.say(.succeeded, Array(sent[1...]) + later, of: device)
    let next = stored.new(device, epoch: 41)
    #expect(try await stored.insert([next], epoch: 41).turns == [next.command.head.id])
    // A topic that was made anew counts from 0: the epoch grows all the same.
    try await stored.report([("bridge", .brokerConnected(offset: 3))])
    #expect(try await stored.store.epoch() == 42)
  }

  @Test func aDeviceThatComesBackGetsAgainWhatItHasNotAnswered() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(4, device)
    try await stored.say(.sent, ids, of: device)
    try await stored.say(.acknowledged, [ids[1]], of: device)
    try await stored.report([(device.deviceId, .heard(reconnected: true))])
    let later = try await stored.make(1, device)
    #expect(try await stored.turns().map(\.id) == [ids[0], ids[2], ids[3]] + later)
  }

  @Test func theWindowMovesOnWithAnswersAndWithDeadlines() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(20, device)
    try await stored.say(.sent, Array(ids[..<12]), of: device)
    try await stored.wait(seconds: 1)
    #expect(try await stored.turns().isEmpty)
    try await stored.report([
      (device.deviceId, .command(ids[0], CommandOccurrence(.succeeded, at: .now), answered: .success)),
      (device.deviceId, .heard(reconnected: false)),
    ])
    #expect(try await stored.turns().map(\.id) == [ids[12]])
    // The next one runs into its deadline.
    try await stored.database.query(
      "UPDATE open_command SET look_at = now() - interval '1 s' WHERE id = \(ids[1])")
    try await stored.database.query(
      "UPDATE command SET deadline = now() - interval '1 s' WHERE id = \(ids[1])")
    let (looked, turns, _) = try await stored.database.withTransaction {
      try await CommandBatch.sweep(at: .now, limit: 500, by: Mover("test"), on: $0)
    }
    #expect(looked == 1)
    #expect(turns.mayGo)
    #expect(try await stored.turns().map(\.id) == [ids[13]])
  }

  @Test func nothingOfWhatWaitsIsLookedAtBeforeItsDeadline() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    _ = try await stored.make(500, device, timeouts: 3600)
    try await stored.wait(seconds: 3)
    #expect(try await stored.turns().isEmpty)
    let (looked, _, _) = try await stored.database.withTransaction {
      try await CommandBatch.sweep(at: .now + 60, limit: 500, by: Mover("test"), on: $0)
    }
    #expect(looked == 0)
    // However many wait: one device, looked at less and less often.
    #expect(try await stored.number("SELECT count(*) FROM waiting_device WHERE idle_looks = 1") == 1)
  }

  @Test func aDeviceOfAnotherOwnerGetsNothingOfTheFirst() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(1, device)
    try await stored.say(.undelivered, ids, of: device, why: .noSubscriber)
    try await stored.database.query(
      "UPDATE directory_device SET organisation_id = \(UUID.v7()) WHERE device_id = \(device.deviceId)")
    try await stored.wait(seconds: 1)
    #expect(try await stored.turns().isEmpty)
  }
}
