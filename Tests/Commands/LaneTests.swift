import CommandsDomain
import Foundation
import Postgres
import TestSupport
import Testing
import Wire

@testable import CommandsService

/// Lanes and exclusive commands, on a real database (decision 23).
@Suite struct LaneTests {
  @Test func aCrowdInOneLaneIsOvertakenByAnother() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let crowd = try await stored.make(1000, device, lane: "crowd")
    #expect(try await stored.given(of: device) == Array(crowd[..<12]))
    let other = try await stored.make(1, device, lane: "other")
    #expect(try await stored.given(of: device) == Array(crowd[..<12]) + other)
    // Stored together with it, and behind a look at all that waits.
    let second = try await stored.device()
    let new = (0..<400).map { stored.new(second, lane: $0 == 399 ? "other" : "crowd") }
    let turns = try await stored.insert(new, epoch: 0).turns
    #expect(turns == Set((new[..<12] + [new[399]]).map(\.command.head.id)))
    #expect(try await stored.turns().isEmpty)
    // Each goes on for itself.
    try await stored.say(.succeeded, other, of: device)
    let next = try await stored.make(3, device, lane: "other")
    try await stored.say(.succeeded, [crowd[0], crowd[1]], of: device)
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    #expect(try await stored.turns().map(\.id) == [next[1]])
  }

  @Test func whatWaitsInOneLaneHoldsNoOther() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let held = try await stored.make(3, device, lane: "a", wait: 60_000)
    let exclusive = try await stored.make(3, device, lane: "b", exclusive: true)
    let free = try await stored.make(3, device, lane: "c")
    #expect(try await stored.given(of: device) == [exclusive[0]] + free)
    try await stored.wait(seconds: 1)
    #expect(try await stored.turns().isEmpty)
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    #expect(try await stored.turns().map(\.id) == held)
  }

  /// That nobody listens is a fact of the device.
  @Test func ofADeviceThatIsAwayOneCommandIsTried() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let first = try await stored.make(2, device, lane: "a")
    try await stored.say(.undelivered, [first[0]], of: device, why: .noSubscriber)
    try await stored.say(.undelivered, [first[1]], of: device, why: .held)
    let other = try await stored.make(2, device, lane: "b")
    #expect(try await stored.given(of: device).isEmpty)
    try await stored.wait(seconds: 1)
    #expect(try await stored.turns().map(\.id) == [first[0]])
    try await stored.say(.sent, [first[0]], of: device)
    #expect(try await stored.turns().map(\.id) == [first[1]] + other)
  }

  enum End: CaseIterable {
    case succeeded, failed, deadline, cancelled, deleted
  }

  @Test(arguments: End.allCases) func anExclusiveOneHoldsTheNextUntilItsEnd(_ end: End) async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids =
      try await stored.make(1, device) + stored.make(1, device, exclusive: true) + stored.make(2, device)
    #expect(try await stored.given(of: device) == Array(ids[..<2]))
    if end != .cancelled {
      try await stored.say(.sent, Array(ids[..<2]), of: device)
      try await stored.say(.acknowledged, [ids[1]], of: device)
    }
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    #expect(try await stored.turns().isEmpty)
    // It has been looked at in vain, and is not to be for long.
    try await stored.database.query("UPDATE waiting_device SET try_at = now() + interval '300 s'")
    let service = stored.fixture.service
    switch end {
    case .succeeded, .failed:
      try await stored.say(end == .failed ? .failed : .succeeded, [ids[1]], of: device)
      try await stored.report([(device.deviceId, .heard(reconnected: false))])
    case .deadline:
      try await stored.database.query(
        "UPDATE open_command SET look_at = now() - interval '1 s' WHERE id = \(ids[1])")
      try await stored.database.query(
        "UPDATE command SET deadline = now() - interval '1 s' WHERE id = \(ids[1])")
      #expect(try await service.sweep(at: .now, limit: 500).turns.mayGo)
    case .cancelled: _ = try await service.cancel(ids[1], in: nil, by: .root)
    case .deleted: try await service.delete(ids[1], in: nil, by: .root)
    }
    #expect(try await stored.turns().map(\.id) == Array(ids[2...]))
  }

  @Test func exclusiveOnesOfTwoReplicasGoOneByOne() async throws {
    let stored = try await Stored()
    let replicas = [try await stored.replica(), try await stored.replica()]
    let device = try await stored.device()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<30 {
        group.addTask {
          let new = stored.new(device, exclusive: number % 3 > 0)
          _ = try await replicas[number % 2].insert([new], epoch: 0)
        }
      }
      try await group.waitForAll()
    }
    let order = try await stored.database.query(
      "SELECT id, exclusive FROM command WHERE device_id = \(device.deviceId) ORDER BY seq"
    ).decode((UUID, Bool).self)
    var gone = try await stored.given(of: device)
    var ended = 0
    while ended < order.count {
      // None went while an exclusive one before it was open.
      #expect(gone == order[..<gone.count].map(\.0))
      #expect(!order[ended..<(gone.count - 1)].contains { $0.1 })
      try await stored.say(.succeeded, [gone[ended]], of: device)
      ended += 1
      try await stored.report([(device.deviceId, .heard(reconnected: false))])
      gone += try await stored.turns().map(\.id)
    }
    #expect(gone.count == 30)
  }

  /// One is stored while the exclusive one before it ends: neither sees the other.
  @Test func oneThatIsStoredAsAnExclusiveOneEndsGoesAtOnce() async throws {
    let stored = try await Stored()
    let other = try await stored.replica()
    let device = try await stored.device()
    let exclusive = try await stored.make(1, device, exclusive: true)[0]
    let next = stored.new(device)
    let news = try await stored.database.withTransaction { connection in
      let said = CommandOccurrence(.succeeded, at: .now)
      let turns = try await CommandBatch.apply(
        [
          (device.deviceId, .command(exclusive, said, answered: .success)),
          (device.deviceId, .heard(reconnected: false)),
        ], by: Mover("test"), on: connection
      ).turns.value
      // Its end is written and not committed.
      #expect(try await other.insert([next], epoch: 0).turns.isEmpty)
      return turns
    }
    #expect(news.freed == [device.deviceId])
    try await stored.database.query("UPDATE waiting_device SET try_at = now() + interval '300 s'")
    stored.fixture.service.turns.raise(news)
    try await stored.fixture.service.lookAgain(stored.fixture.service.turns.takeFreed())
    #expect(try await stored.turns().map(\.id) == [next.command.head.id])
    #expect(stored.fixture.service.turns.takeFreed().isEmpty)
  }

  @Test func whatIsGivenAgainStandsInTheOrderOfItsLane() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let before = try await stored.make(1, device)
    let exclusive = try await stored.make(1, device, exclusive: true)
    let behind = try await stored.make(1, device)
    let other = try await stored.make(2, device, lane: "b")
    try await stored.say(.sent, before + exclusive + other, of: device)
    try await stored.report([(device.deviceId, .heard(reconnected: true))])
    #expect(try await stored.turns().map(\.id) == before + exclusive + other)
    // The device has the exclusive one, and the broker is lost: what was before it goes again, what is behind it does not.
    try await stored.say(.acknowledged, exclusive, of: device)
    try await stored.report([("bridge", .brokerConnected(offset: 7))])
    while try await stored.database.query(CommandStore.walk(limit: 100)).first?.decode(Bool.self) == false {}
    #expect(try await stored.turns().map(\.id) == before + other)
    let third = stored.new(device, epoch: 7)
    #expect(try await stored.insert([third], epoch: 7).turns.isEmpty)
    try await stored.say(.succeeded, exclusive + before, of: device)
    try await stored.report([(device.deviceId, .heard(reconnected: false))])
    #expect(try await stored.turns().map(\.id) == behind + [third.command.head.id])
  }

  /// What goes at once is what a model of the window lets go, whatever is there.
  @Test func whatIsStoredGoesByTheRule() async throws {
    let stored = try await Stored()
    var random = Numbers(seed: 4)
    let lanes = ["a", "b", "c", "d", "e", "f"]
    for _ in 0..<25 {
      let devices = [try await stored.device(), try await stored.device()]
      var open: [String: [Model]] = [:]
      for _ in 0..<6 {
        let new = (0..<Int.random(in: 1...12, using: &random)).map { _ in
          stored.new(
            devices[Int.random(in: 0...1, using: &random)], lane: lanes.randomElement(using: &random)!,
            exclusive: Int.random(in: 0..<15, using: &random) == 0,
            wait: Int.random(in: 0..<25, using: &random) == 0 ? 60_000 : nil,
            type: Int.random(in: 0..<10, using: &random) == 0 ? "BIND_CONFIG_ARTEFACT" : "REBOOT")
        }
        var expected: Set<UUID> = []
        for item in new {
          let head = item.command.head
          let all = open[head.deviceId] ?? []
          let lane = all.filter { $0.lane == head.lane }
          let goes =
            item.command.delivery.waitMilliseconds == nil && !lane.contains { !$0.goes || $0.isExclusive }
            && (head.action != nil
              || LaneWindow.hasRoom(lane: lane.count(where: \.takesPlace), of: all.count(where: \.takesPlace)))
          if goes { expected.insert(head.id) }
          open[head.deviceId, default: []].append(
            Model(
              id: head.id, lane: head.lane, isExclusive: item.command.delivery.isExclusive,
              isForDevice: head.action == nil, goes: goes))
        }
        #expect(try await stored.insert(new, epoch: 0).turns == expected)
        for device in devices {
          var acknowledged: [UUID] = []
          for index in (open[device.deviceId] ?? []).indices where Int.random(in: 0..<6, using: &random) == 0
          {
            guard let model = open[device.deviceId]?[index], model.goes, !model.isAcknowledged else {
              continue
            }
            open[device.deviceId]?[index].isAcknowledged = true
            acknowledged.append(model.id)
          }
          try await stored.say(.acknowledged, acknowledged, of: device)
        }
      }
    }
  }

  private struct Model {
    let id: UUID
    let lane: String
    let isExclusive: Bool
    let isForDevice: Bool
    let goes: Bool
    var isAcknowledged = false
    var takesPlace: Bool { isForDevice && goes && !isAcknowledged }
  }

  /// More lanes than places, each with a crowd: all come through.
  @Test func manyLanesAllComeThrough() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.insert(
      (0..<400).map { stored.new(device, lane: "lane-\($0 % 40)") }, epoch: 0)
    #expect(ids.turns.count == 16)
    var open = try await stored.given(of: device)
    var done: [UUID] = []
    while !open.isEmpty {
      #expect(open.count <= 16)
      let answered = open.removeFirst()
      try await stored.report([
        (device.deviceId, .command(answered, CommandOccurrence(.succeeded, at: .now), answered: .success)),
        (device.deviceId, .heard(reconnected: false)),
      ])
      done.append(answered)
      open += try await stored.turns().map(\.id)
    }
    #expect(done.count == 400)
    // In each lane in the order of creation.
    let order = try await stored.database.query(
      "SELECT id, lane FROM command WHERE device_id = \(device.deviceId) ORDER BY seq"
    ).decode((UUID, String).self)
    let lane = Dictionary(uniqueKeysWithValues: order.map { ($0.0, $0.1) })
    for name in Set(lane.values) {
      #expect(done.filter { lane[$0] == name } == order.filter { $0.1 == name }.map(\.0))
    }
  }
}
