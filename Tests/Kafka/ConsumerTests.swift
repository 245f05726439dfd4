import Foundation
import TestSupport
import Testing

@testable import Kafka

@Suite struct ConsumerTests {
  @Test func itStartsAtTheOffsetsItIsGiven() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    try await fixture.deliver(fixture.numbered(0..<400, keys: 64), by: producer)
    let asked = Shared<[KafkaPartition]>([])
    let consumer = try fixture.consumer { partitions in
      asked.change { $0 += partitions }
      // Partition 0 is missing: earliest.
      return Dictionary(uniqueKeysWithValues: partitions.filter { $0.partition > 0 }.map { ($0, 20) })
    }
    let admin = try fixture.admin()
    let ends = try await admin.endOffsets(topic: fixture.topic)
    let want = ends.reduce(0) { $0 + Int($1.value) - ($1.key == 0 ? 0 : 20) }
    let got = try await fixture.read(want, from: consumer)
    for (partition, end) in ends {
      let offsets = got.filter { $0.partition == partition }.map(\.offset)
      #expect(offsets == Array((partition == 0 ? 0 : 20)..<end))
    }
    #expect(Set(asked.value).count == Fixture.partitions)
    #expect(consumer.assignment == Set(asked.value))
    await consumer.close(timeout: .seconds(5))
    #expect(consumer.assignment.isEmpty)
    await producer.shutdown(timeout: .seconds(5))
    await admin.shutdown()
  }

  @Test func startOffsetsThatFailAreAskedAgain() async throws {
    struct Away: Error {}
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    try await fixture.deliver(fixture.numbered(0..<10), by: producer)
    let calls = Shared(0)
    let consumer = try fixture.consumer { _ in
      if calls.change({
        $0 += 1; return $0
      }) < 4 {
        throw Away()
      }
      return [:]
    }
    #expect(try await fixture.read(10, from: consumer).count == 10)
    #expect(calls.value == 4)
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func cancellingLosesNoMessage() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    let consumer = try fixture.consumer()
    let total = 3000
    let sending = Task {
      for start in stride(from: 0, to: total, by: 20) {
        try await fixture.deliver(fixture.numbered(start..<start + 20), by: producer)
      }
    }
    var got: [KafkaMessage] = []
    var cancelled = 0
    let end = ContinuousClock.now + .seconds(60)
    while got.count < total, .now < end {
      let call = Task { try await consumer.nextBatch(maximumCount: 50, wait: .seconds(1)) }
      // From before the call begins to after it has its messages.
      if cancelled % 5 != 0 { try await Task.sleep(for: .microseconds(Int.random(in: 0..<2500))) }
      call.cancel()
      do { got += try await call.value } catch is CancellationError { cancelled += 1 }
    }
    try await sending.value
    #expect(got.map(\.number).sorted() == Array(0..<total))
    #expect(cancelled > 0)
    for (_, messages) in Dictionary(grouping: got, by: \.partition) {
      #expect(messages.map(\.offset) == messages.map(\.offset).sorted())
    }
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func aCancelledTaskThrowsAtOnce() async throws {
    let fixture = try await Fixture()
    let consumer = try fixture.consumer()
    let call = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await consumer.nextBatch(maximumCount: 1, wait: .seconds(60))
    }
    await #expect(throws: CancellationError.self) { try await call.value }
    await consumer.close(timeout: .seconds(5))
  }

  @Test func severalCallsShareTheMessages() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    let consumer = try fixture.consumer()
    let got = Shared<[Int]>([])
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          let end = ContinuousClock.now + .seconds(30)
          while got.value.count < 1000, .now < end {
            let batch = try await consumer.nextBatch(maximumCount: 20, wait: .milliseconds(100))
            got.change { $0 += batch.map(\.number) }
          }
        }
      }
      try await fixture.deliver(fixture.numbered(0..<1000), by: producer)
      try await group.waitForAll()
    }
    #expect(got.value.sorted() == Array(0..<1000))
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func seekGoesBackAndForth() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    try await fixture.deliver(fixture.numbered(0..<400, keys: 64), by: producer)
    let consumer = try fixture.consumer()
    let all = try await fixture.read(400, from: consumer)
    #expect(all.count == 400)
    let place = try #require(all.first?.place)
    let own = all.filter { $0.place == place }
    for start in [0, 7, own.count - 1, 3] {
      try await consumer.seek([
        place: Int64(start), KafkaPartition(topic: "not-ours", partition: 0): 5,
      ])
      let again = try await fixture.read(own.count - start, from: consumer)
      #expect(again.map(\.offset) == own[start...].map(\.offset))
      #expect(again.allSatisfy { $0.place == place })
    }
    // In the middle of reading: what librdkafka has fetched ahead must not come.
    try await consumer.seek(Dictionary(uniqueKeysWithValues: Set(all.map(\.place)).map { ($0, 0) }))
    _ = try await consumer.nextBatch(maximumCount: 5, wait: .seconds(10))
    try await consumer.seek(Dictionary(uniqueKeysWithValues: Set(all.map(\.place)).map { ($0, 0) }))
    let whole = try await fixture.read(400, from: consumer)
    #expect(whole.map(\.number).sorted() == Array(0..<400))
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func commitsAreSeenFromOutside() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    try await fixture.deliver(fixture.numbered(0..<100, keys: 64), by: producer)
    let consumer = try fixture.consumer()
    let got = try await fixture.read(100, from: consumer)
    let next = Dictionary(got.map { ($0.place, $0.offset + 1) }, uniquingKeysWith: max)
    try await consumer.commitAndWait(next)
    let admin = try fixture.admin()
    #expect(try await admin.committed(group: fixture.group, partitions: Array(next.keys)) == next)
    // The asynchronous one: without any further call it is there within its 200 ms.
    let back = next.mapValues { $0 - 1 }
    consumer.commit(next.mapValues { $0 - 2 })
    consumer.commit(back)
    try await eventually("the commit arrives") {
      try await admin.committed(group: fixture.group, partitions: Array(next.keys)) == back
    }
    // A commit right before the end is not lost.
    consumer.commit(next)
    await consumer.close(timeout: .seconds(5))
    #expect(try await admin.committed(group: fixture.group, partitions: Array(next.keys)) == next)
    await producer.shutdown(timeout: .seconds(5))
    await admin.shutdown()
  }

  @Test func afterALongPauseItHasItsPartitionsBack() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    try await fixture.deliver(fixture.numbered(0..<50), by: producer)
    let next = Shared<[KafkaPartition: Int64]>([:])
    let consumer = try fixture.consumer(extra: ["max.poll.interval.ms": "6000"]) { _ in next.value }
    let first = try await fixture.read(50, from: consumer)
    next.change { $0 = Dictionary(first.map { ($0.place, $0.offset + 1) }, uniquingKeysWith: max) }
    try await Task.sleep(for: .seconds(9))
    try await fixture.deliver(fixture.numbered(50..<100), by: producer)
    let second = try await fixture.read(50, from: consumer)
    #expect(second.map(\.number).sorted() == Array(50..<100))
    #expect(fixture.log.lines.contains { $0.contains("MAXPOLL") })
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }
}
