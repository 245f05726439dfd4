import CommandsDomain
import Foundation
import Kafka
import Postgres
import Runtime
import TestSupport
import Testing
import Wire

@testable import CommandsService

/// What is done from memory, and what becomes of it when it was wrong.
@Suite struct MemoryTests {
  private func loaded(_ id: UUID = .v7(), rev: Int64 = 1) -> LoadedCommand {
    let timeouts = Timeouts(deliver: 30, acknowledge: 30, complete: 30)
    var state = CommandState(createdAt: .now, timeouts: timeouts, by: "test")
    state.rev = rev
    return LoadedCommand(
      head: CommandHead(
        id: id, organisationId: .v7(), deviceId: "0123456789abcdef", type: "REBOOT", lane: "default",
        timeouts: timeouts, traceparent: nil),
      readRev: rev, readDeadline: nil, readStatus: .pending, isExclusive: false, state: state)
  }

  @Test func allOrNothingIsTakenAndOnlyOnce() {
    let memory = CommandMemory()
    let commands = (0..<3).map { _ in loaded() }
    memory.settle(commands)
    let ids = commands.map(\.head.id)
    #expect(memory.take([]) == nil)
    #expect(memory.take([ids[0], .v7()]) == nil)
    #expect(Set(memory.take([ids[0], ids[1]])?.map(\.head.id) ?? []) == [ids[0], ids[1]])
    #expect(memory.take([ids[0]]) == nil)
    #expect(memory.take([ids[2]])?.first?.state.timeline.isEmpty == true)
  }

  @Test func theOldestIsForgotten() {
    let memory = CommandMemory()
    let first = loaded()
    memory.settle([first])
    memory.settle((0..<CommandMemory.room - 1).map { _ in loaded() })
    memory.settle([loaded()])
    #expect(memory.take([first.head.id]) == nil)
  }

  @Test func whatEndsOrWaitsIsNotKept() {
    let memory = CommandMemory()
    var over = loaded()
    var held = loaded()
    over.state.status = .success
    held.state.awaitsDevice = true
    memory.settle([loaded(over.head.id), over, held])
    for command in [over, held] { #expect(memory.take([command.head.id]) == nil) }
  }

  /// Of a time that was read and one that was made the last bit may differ.
  private func exact(_ time: Date) -> Date { time.wholeMilliseconds }

  private func exact(_ state: CommandState) -> CommandState {
    var state = state
    (state.sentAt, state.acknowledgedAt) = (state.sentAt.map(exact), state.acknowledgedAt.map(exact))
    state.deadline = state.deadline.map(exact)
    return state
  }

  /// The same, as it is read after each step and as it is remembered.
  @Test func whatIsRememberedIsWhatWouldBeRead() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let id = try await stored.make(1, device)[0]
    for event in [CommandEvent.sent, .acknowledged, .progressed] {
      try await stored.report([(device.deviceId, .command(id, occurrence(event), answered: nil))])
      let read = try #require(
        try await stored.database.query(CommandStore.moving([id])).first.map { try CommandStore.moving($0) })
      let known = try #require(stored.mover.memory.take([id])?.first)
      #expect(known.head == read.head && exact(known.state) == exact(read.state), "\(event)")
      #expect(known.readRev == read.readRev && known.readStatus == read.readStatus)
      #expect(
        known.readDeadline.map(exact) == read.readDeadline.map(exact) && known.isExclusive == read.isExclusive
      )
      stored.mover.memory.settle([known])
    }
  }

  private func occurrence(_ event: CommandEvent) -> CommandOccurrence {
    CommandOccurrence(event, at: Date.now.wholeMilliseconds)
  }

  @Test("what another replica has moved is found out, whether what is said of it moves it or not")
  func another() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let ids = try await stored.make(3, device)
    try await stored.say(.sent, ids, of: device)
    // The other ends the first, deletes the second, and leaves the third alone.
    try await stored.database.withTransaction { connection in
      let failed = (
        device.deviceId, DeviceReport.command(ids[0], self.occurrence(.failed), answered: .failed)
      )
      _ = try await CommandBatch.apply([failed], by: Mover("other"), on: connection)
      try await connection.enqueue([CommandStore.delete(ids[1])])
    }
    for (id, event, missing) in [(ids[0], CommandEvent.succeeded, 0), (ids[1], .sent, 1), (ids[2], .sent, 0)]
    {
      let report = (device.deviceId, DeviceReport.command(id, occurrence(event), answered: nil))
      @Sendable func apply() async throws -> Int {
        try await stored.database.withTransaction {
          try await CommandBatch.apply([report], by: stored.mover, on: $0).missing
        }
      }
      if id != ids[2] {
        let error = await #expect(throws: PostgresError.self) { try await apply() }
        #expect(error?.isMissedGuard == true)
      }
      #expect(try await apply() == missing)
    }
    let first = try #require(try await stored.store.find(ids[0], in: stored.organisation))
    #expect(first.state.status == .failed && first.state.timeline.filter { $0.status == .failed }.count == 1)
    #expect(try await stored.store.find(ids[2], in: stored.organisation)?.state.status == .sent)
  }

  @Test func hopeIsGivenUpForAWhileAndForLongerWhereItIsDashedAgain() {
    let hope = Hope()
    func batchesWithout() -> Int {
      var count = 0
      while !hope.take() { count += 1 }
      return count
    }
    #expect(batchesWithout() == 0)
    var pauses: [Int] = []
    for _ in 0..<7 {
      hope.isDashed()
      pauses.append(batchesWithout())
    }
    #expect(pauses == [8, 16, 32, 64, 128, 256, 256])
    hope.isFulfilled()
    hope.isDashed()
    #expect(batchesWithout() == 8)
  }

  /// Whether it was hoped or looked first: what may not go waits, and what may goes.
  @Test func whatDoesNotGoAtOnceIsStoredAllTheSame() async throws {
    let world = try await World()
    let exclusive = try await world.command(["type": "REBOOT", "exclusive": true])
    var waiting: [String] = []
    for _ in 0..<12 { waiting.append(try await world.command()) }
    let device = world.device.deviceId
    func downlinks() async throws -> [String] {
      try await world.fixture.outbox(device, .deviceDownlink).compactMap { $0.json["id"]?.string }
    }
    #expect(try await downlinks() == [exclusive])
    for id in waiting {
      #expect(try await world.ask(.get, "api/v1/commands/\(id)").json["status"] == "PENDING")
    }
    let other = try await World(on: world.fixture)
    let ids = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<20 { group.addTask { try await other.command() } }
      return try await group.reduce(into: [String]()) { $0.append($1) }
    }
    let gone = try await world.fixture.outbox(other.device.deviceId, .deviceDownlink).count
    #expect(Set(ids).count == 20 && gone == 12, "the window of a lane")
  }

  @Test("a command that is remembered moves, and one of the same device that is held is heard, with one miss")
  func held() async throws {
    let stored = try await Stored()
    let device = try await stored.device()
    let id = try await stored.make(1, device)[0]
    try await stored.say(.sent, [id], of: device)
    let held = try await stored.make(1, device, wait: 60_000)[0]
    let reports = [
      (device.deviceId, DeviceReport.command(id, occurrence(.succeeded), answered: .success)),
      (device.deviceId, .heard(reconnected: false)),
    ]
    @Sendable func apply() async throws {
      try await stored.database.withTransaction {
        _ = try await CommandBatch.apply(reports, by: stored.mover, on: $0)
      }
    }
    let error = await #expect(throws: PostgresError.self) { try await apply() }
    #expect(error?.isMissedGuard == true)
    try await apply()
    #expect(try await stored.store.find(id, in: stored.organisation)?.state.status == .success)
    #expect(try await stored.turns().map(\.id) == [held])
  }

  /// What may not go, or is not as it was, is not stored as if it were.
  @Test func theGuardOfWhatGoesAtOnceMisses() async throws {
    let stored = try await Stored()
    let (quiet, waiting, changed) = (
      try await stored.device(), try await stored.device(), try await stored.device()
    )
    @Sendable func insert(_ new: [NewCommand], epoch: Int64 = 0) async throws {
      _ = try await stored.database.withTransaction {
        try await CommandStore.insert(
          goingAtOnce: new, epoch: epoch, telling: stored.fixture.runtime.outbox, on: $0)
      }
    }
    func misses(_ new: [NewCommand], epoch: Int64 = 0) async -> Bool {
      let error = await #expect(throws: PostgresError.self) { try await insert(new, epoch: epoch) }
      return error?.isMissedGuard == true
    }
    _ = try await stored.make(1, waiting, wait: 60_000)
    let newer = DeviceEntity(
      id: changed.id, deviceId: changed.deviceId, mcuId: changed.mcuId, soc: changed.soc,
      boardId: changed.boardId, organisationId: changed.organisationId, rev: changed.rev + 1)
    try await stored.fixture.tell([.present(.device(newer))])
    #expect(await misses([stored.new(quiet), stored.new(waiting)]))
    #expect(await misses([stored.new(quiet), stored.new(changed)]))
    #expect(await misses([stored.new(quiet)], epoch: 7))
    #expect(await misses((0..<13).map { _ in stored.new(quiet) }))
    #expect(try await stored.number("SELECT count(*) FROM command") == 1)
    try await insert((0..<12).map { _ in stored.new(quiet) } + [stored.new(newer)])
    #expect(try await stored.given(of: quiet).count == 12)
    #expect(await misses([stored.new(quiet)]))
  }

  @Test func aSeriesIsHeardWholeThoughOneOfItCannotBeRead() async throws {
    let world = try await World()
    let id = try await world.command()
    var value: [UInt8] = []
    for (kind, payload) in [
      (Uplink.Kind.sent, #"{"id":"\#(id)","by":"bridge-1"}"#), (.status, #"{"id":"\#(id)","status":"NEW"}"#),
      (.status, #"{"id":"\#(id)","status":"SUCCESS","result":{"a":1}}"#),
    ] {
      UplinkSeries.append(type: kind.rawValue, time: .now, payload: Array(payload.utf8), to: &value)
    }
    let message = KafkaMessage(
      topic: KafkaTopic.deviceUplink.rawValue, partition: 0, offset: 0,
      key: Array(world.device.deviceId.utf8), value: value,
      headers: [KafkaHeader(EventHeader.type, Uplink.Kind.series.rawValue)], timestamp: 0)
    let inbox = UplinkInbox(service: world.fixture.service)
    let rejected = try await world.fixture.runtime.database.applying {
      try await inbox.apply([message], $0).rejected.count
    }
    #expect(rejected == 1)
    let command = try await world.ask(.get, "api/v1/commands/\(id)").json
    #expect(command["status"] == "SUCCESS" && command["result"]?["a"] == 1)
    #expect(
      command["timeline"]?.array?.compactMap { $0["event"]?.string }.suffix(2) == ["sent", "succeeded"])
  }
}
