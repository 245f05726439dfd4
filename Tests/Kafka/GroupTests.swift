import Foundation
import TestSupport
import Testing

@testable import Kafka

/// A member of a group as services are: it applies a batch and moves its offsets in one step, in a store that all
/// members share, and refuses a batch that does not follow on what is stored (DESIGN, section 2, 3).
private final class Member: Sendable {
  struct Store: Sendable {
    var next: [KafkaPartition: Int64] = [:]
    var applied: [Int] = []
  }

  let consumer: KafkaConsumer
  let refused = Shared(0)
  /// Messages of partitions that were not this member's when it got them.
  let foreign = Shared(0)
  private let task: Task<Void, Never>

  init(_ fixture: Fixture, _ store: Shared<Store>, instance: String? = nil) throws {
    let consumer = try fixture.consumer(instance: instance) { _ in store.value.next }
    self.consumer = consumer
    // On the loop, as services are: between a batch and its look at the assignment no rebalance can come.
    task = fixture.loop.task { [refused, foreign] in
      while !Task.isCancelled, let batch = try? await consumer.nextBatch(maximumCount: 50, wait: .seconds(1))
      {
        let assignment = consumer.assignment
        foreign.change { $0 += batch.count { !assignment.contains($0.place) } }
        for message in batch {
          let isNext = store.change { store in
            guard store.next[message.place, default: 0] == message.offset else { return false }
            store.next[message.place] = message.offset + 1
            store.applied.append(message.number)
            return true
          }
          if !isNext { refused.change { $0 += 1 } }
        }
      }
    }
  }

  /// As services do: what is in hand is applied before the partitions go.
  func close() async {
    task.cancel()
    await task.value
    await consumer.close(timeout: .seconds(10))
  }

  func crash() async {
    await consumer.crash()
    await task.value
  }
}

@Suite(.serialized) struct GroupTests {
  private func share(_ members: [Member]) -> Bool {
    let shares = members.map(\.consumer.assignment)
    return shares.allSatisfy { !$0.isEmpty } && shares.reduce(0) { $0 + $1.count } == Fixture.partitions
      && shares.reduce(into: Set()) { $0.formUnion($1) }.count == Fixture.partitions
  }

  /// Sends numbered messages until it is stopped; gives how many.
  private func stream(_ fixture: Fixture, _ producer: KafkaProducer) -> Task<Int, any Error> {
    Task {
      var sent = 0
      while !Task.isCancelled {
        try await fixture.deliver(fixture.numbered(sent..<sent + 10, keys: 64), by: producer)
        sent += 10
        try? await Task.sleep(for: .milliseconds(5))
      }
      return sent
    }
  }

  @Test(arguments: ["close", "crash"])
  func anotherMemberTakesOver(_ end: String) async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    let store = Shared(Member.Store())
    let stream = stream(fixture, producer)
    let (a, b) = (try Member(fixture, store), try Member(fixture, store))
    try await eventually("both have partitions", within: 60) { share([a, b]) }
    try await eventually("messages flow") { store.value.applied.count > 200 }
    if end == "close" { await a.close() } else { await a.crash() }
    try await eventually("the other has all", within: 40) {
      b.consumer.assignment.count == Fixture.partitions
    }
    let c = try Member(fixture, store)
    try await eventually("a third joins", within: 60) { share([b, c]) }
    try await Task.sleep(for: .milliseconds(300))
    stream.cancel()
    let sent = try await stream.value
    try await eventually("nothing is lost", within: 30) { store.value.applied.count == sent }
    #expect(store.value.applied.sorted() == Array(0..<sent))
    #expect([a, b, c].map(\.foreign.value) == [0, 0, 0])
    // Nobody died in the middle but `a`: a clean handover repeats nothing.
    if end == "close" { #expect([a, b, c].map(\.refused.value) == [0, 0, 0]) }
    await b.close()
    await c.close()
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func nothingOfARevokedPartitionIsHandedOut() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    try await fixture.deliver(fixture.numbered(0..<4000, keys: 64), by: producer)
    // It reads one message a call, so that much is fetched ahead when the partitions go.
    let a = try fixture.consumer()
    var next: [KafkaPartition: Int64] = [:]
    for message in try await fixture.read(20, from: a) { next[message.place] = message.offset + 1 }
    let store = Shared<[KafkaPartition: Int64]>([:])
    let b = try fixture.consumer { _ in store.value }
    let taking = Task { try await fixture.read(1, from: b, within: 60) }
    var isShared = false
    let end = ContinuousClock.now + .seconds(60)
    while .now < end {
      let (batch, assignment) = try await fixture.loop.task(throwing: {
        (try await a.nextBatch(maximumCount: 1, wait: .milliseconds(20)), a.assignment)
      }).value
      #expect(batch.allSatisfy { assignment.contains($0.place) })
      if isShared, batch.isEmpty { break }
      if assignment.count == Fixture.partitions / 2 { isShared = true }
    }
    #expect(isShared)
    #expect(try await !taking.value.isEmpty)
    #expect(a.assignment.isDisjoint(with: b.assignment))
    await a.close(timeout: .seconds(5))
    await b.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test(.enabled(if: KafkaServer.isKafka, "the development broker forgets static members"))
  func aSlotThatComesBackHasItsPartitionsAtOnce() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    let store = Shared(Member.Store())
    let stream = stream(fixture, producer)
    let a = try Member(fixture, store, instance: "slot-1")
    let b = try Member(fixture, store, instance: "slot-2")
    try await eventually("both have partitions", within: 60) { share([a, b]) }
    let (own, others) = (a.consumer.assignment, b.consumer.assignment)
    await a.crash()
    let start = ContinuousClock.now
    let again = try Member(fixture, store, instance: "slot-1")
    try await eventually("the slot is back", within: 20) { again.consumer.assignment == own }
    // Sooner than the dead member's session could run out.
    #expect(.now - start < .seconds(5))
    #expect(b.consumer.assignment == others)
    stream.cancel()
    let sent = try await stream.value
    try await eventually("nothing is lost", within: 30) { store.value.applied.count == sent }
    await again.close()
    await b.close()
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test(.enabled(if: KafkaServer.isKafka, "the development broker forgets static members"))
  func twoMembersInOneSlotAreTold() async throws {
    let fixture = try await Fixture()
    let a = try fixture.consumer(instance: "slot")
    _ = try await a.nextBatch(maximumCount: 1, wait: .seconds(2))
    let b = try fixture.consumer(instance: "slot")
    _ = try await b.nextBatch(maximumCount: 1, wait: .seconds(2))
    // Each joins again once, then one is told.
    let error = await #expect(throws: KafkaError.self) {
      for _ in 0..<60 {
        _ = try await a.nextBatch(maximumCount: 1, wait: .milliseconds(500))
        _ = try await b.nextBatch(maximumCount: 1, wait: .milliseconds(500))
      }
    }
    #expect(error?.isFatal == true)
    await a.close(timeout: .seconds(5))
    await b.close(timeout: .seconds(5))
  }

  @Test(.enabled(if: KafkaServer.isKafka, "the development broker forgets static members"))
  func aMemberThatWasFencedOnceGoesOn() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    let a = try fixture.consumer(instance: "slot")
    _ = try await a.nextBatch(maximumCount: 1, wait: .seconds(2))
    let b = try fixture.consumer(instance: "slot")
    try await eventually("the second has taken the slot", within: 20) {
      _ = try await b.nextBatch(maximumCount: 1, wait: .milliseconds(200))
      return !b.assignment.isEmpty
    }
    await b.crash()
    try await eventually("the first is told", within: 20) {
      _ = try await a.nextBatch(maximumCount: 1, wait: .milliseconds(200))
      return fixture.log.lines.contains { $0.contains("joining again") }
    }
    try await fixture.deliver(fixture.numbered(0..<100), by: producer)
    #expect(try await fixture.read(100, from: a).map(\.number).sorted() == Array(0..<100))
    await a.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }
}
