import FoundationEssentials
import Testing
import Wire

@testable import Runtime

@Suite struct OutboxStateTests {
  private let now = ContinuousClock.now

  private func event(_ key: String, _ topic: KafkaTopic = .commandsEvents, bytes: Int = 2) -> Event {
    Event(
      topic: topic, key: key, type: "test", payload: [UInt8](repeating: 0x20, count: bytes), traceparent: nil)
  }

  private func took(_ state: inout OutboxState, _ row: Int64, _ events: [Event?]) {
    state.took(row, events, createdAt: Date(timeIntervalSince1970: 0))
  }

  /// Reports the whole batch.
  private func report(
    _ state: inout OutboxState, _ batch: (id: OutboxState.LaneID, batch: [OutboxState.Entry]), _ isDone: Bool,
    at time: ContinuousClock.Instant? = nil
  ) {
    state.reported(batch.id, batch.batch, isDone: batch.batch.map { _ in isDone }, at: time ?? now)
  }

  @Test func aRowIsFinishedWhenAllOfItIsInKafka() {
    var state = OutboxState()
    took(&state, 1, [event("a"), event("a", .deviceDownlink)])
    let batches = state.batches(at: now)
    #expect(batches.count == 2 && state.takeFinished().isEmpty)
    #expect(state.isUrgentDone(1) == false)
    for batch in batches where batch.id.topic == .deviceDownlink { report(&state, batch, true) }
    #expect(state.isUrgentDone(1) == true, "the downlink is what somebody may wait for")
    #expect(state.takeFinished().isEmpty)
    for batch in batches where batch.id.topic == .commandsEvents { report(&state, batch, true) }
    #expect(state.takeFinished() == [1] && state.takeFinished().isEmpty)
    #expect(state.has(1), "until it is deleted it is not taken again")
    state.deleted([1])
    #expect(!state.has(1))
  }

  @Test func aReportIsWorthALookWhereSomethingIsBehindIt() {
    var state = OutboxState()
    took(&state, 1, [event("a", .deviceDownlink)])
    let first = state.batches(at: now)[0]
    took(&state, 2, [event("a", .deviceDownlink)])
    report(&state, first, true)
    #expect(state.hasMore(first.id), "the next of its key")
    let second = state.batches(at: now)[0]
    report(&state, second, true)
    #expect(!state.hasMore(second.id))
    took(&state, 3, [event("a", .deviceDownlink)])
    report(&state, state.batches(at: now)[0], false)
    #expect(state.hasMore(second.id) && state.nextGo != nil, "what failed goes again")
    let big = event("a", .deviceDownlink, bytes: OutboxState.maximumLaneBytes)
    took(&state, 4, [big])
    took(&state, 5, [big])
    report(&state, state.batches(at: now + .seconds(1))[0], true)
    #expect(state.hasMore(second.id), "one waits, or was parked")
  }

  @Test func aLaneThatDoesNotAnswerHoldsNothingElseUp() {
    var state = OutboxState()
    took(&state, 1, [event("a", .commandsEvents)])
    #expect(state.batches(at: now).count == 1)
    took(&state, 2, [event("a", .commandsEvents), event("a", .deviceDownlink)])
    let next = state.batches(at: now)
    #expect(
      next.map(\.id.topic) == [.deviceDownlink], "the other topic's goes, the first one's waits for its batch"
    )
  }

  @Test func whatOnlyTellsGoesTogetherAfterAPauseAndNothingElseWaitsForIt() {
    var state = OutboxState()
    let pause = Duration.milliseconds(20)
    func go(_ milliseconds: Int) -> [(id: OutboxState.LaneID, batch: [OutboxState.Entry])] {
      state.batches(at: now + .milliseconds(milliseconds), tellingEach: pause)
    }
    took(&state, 1, [event("a"), event("a", .deviceDownlink)])
    let first = go(0)
    #expect(first.map(\.id.topic) == [.commandsEvents, .deviceDownlink], "after a rest all goes at once")
    for batch in first { report(&state, batch, true) }
    took(&state, 2, [event("a"), event("a", .deviceDownlink)])
    took(&state, 3, [event("b"), event("b", .deviceDownlink)])
    #expect(Set(go(5).map(\.id.topic)) == [.deviceDownlink])
    #expect(state.nextGo == now + .milliseconds(20))
    #expect(go(19).isEmpty)
    let later = go(20)
    #expect(later.map(\.id.topic) == [.commandsEvents, .commandsEvents])
    // One that has failed waits for the later of the two.
    report(&state, later[0], false, at: now + .milliseconds(20))
    #expect(state.nextGo == now + .milliseconds(220))
  }

  @Test func whatFollowsAFailureWithItsKeyGoesAgainBehindIt() {
    var state = OutboxState()
    // Keys of one lane.
    let lane = OutboxState.lanes
    var keys: [String] = []
    var probe = OutboxState()
    for number in 0..<(lane * 40) where keys.count < 2 {
      let key = "key-\(number)"
      took(&probe, Int64(number + 1), [event(key)])
      if let id = probe.batches(at: now).first?.id, id.number == 3 { keys.append(key) }
      probe = OutboxState()
    }
    let (a, b) = (keys[0], keys[1])
    for (row, key) in [(1, a), (2, b), (3, a), (4, b)] { took(&state, Int64(row), [event(key)]) }
    let batch = state.batches(at: now)[0]
    #expect(batch.batch.map(\.row) == [1, 2, 3, 4])
    took(&state, 5, [event(a)])
    state.reported(batch.id, batch.batch, isDone: [false, true, true, true], at: now)
    #expect(state.takeFinished() == [2, 4])
    #expect(state.batches(at: now).isEmpty, "not at once")
    #expect(state.nextGo.map { $0 > now } == true)
    #expect(state.batches(at: now + .seconds(1))[0].batch.map(\.row) == [1, 3, 5])
  }

  @Test func aFullLaneParksWhatComesAndReadsItAgainInOrder() {
    var state = OutboxState()
    let size = OutboxState.maximumLaneBytes / 4
    for row in 1...10 { took(&state, Int64(row), [event("a", bytes: size)]) }
    var order: [Int64] = []
    for _ in 0..<20 {
      for (id, rows) in state.reads {
        for row in rows {
          state.reread(row, [event("a", bytes: size)], createdAt: Date(timeIntervalSince1970: 0), for: id)
        }
      }
      for batch in state.batches(at: now) {
        order += batch.batch.map(\.row)
        report(&state, batch, true)
      }
    }
    #expect(order == Array(1...10))
    #expect(state.takeFinished() == Array(1...10))
  }

  @Test func aTopicsNumberIsItsPlace() {
    #expect(KafkaTopic.allCases.map(\.number) == Array(KafkaTopic.allCases.indices))
  }

  @Test func aRowOfANewerVersionStaysAndTheRestOfItGoes() {
    var state = OutboxState()
    took(&state, 1, [nil, event("a")])
    took(&state, 2, [nil])
    for batch in state.batches(at: now) { report(&state, batch, true) }
    #expect(state.takeFinished().isEmpty && state.has(1) && state.has(2))
  }
}
