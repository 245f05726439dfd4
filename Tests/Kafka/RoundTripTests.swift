import Foundation
import Kafka
import TestSupport
import Testing

@Suite struct RoundTripTests {
  @Test func keysHeadersTombstonesAndEmptyValuesComeBack() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    let headers: KafkaHeaders = [
      KafkaHeader("type", "first"), KafkaHeader("type", "last"), KafkaHeader("empty", [UInt8]()),
      KafkaHeader("bytes", [0, 255, 7]),
    ]
    let sent = [
      KafkaProducerMessage(topic: fixture.topic, key: "a".bytes, value: "value".bytes, headers: headers),
      KafkaProducerMessage(topic: fixture.topic, key: "a".bytes, value: nil),
      KafkaProducerMessage(topic: fixture.topic, key: "a".bytes, value: []),
      KafkaProducerMessage(topic: fixture.topic, key: "a".bytes, value: [0, 1, 255]),
    ]
    let before = Int64(Date.now.timeIntervalSince1970 * 1000)
    let deliveries = try await producer.send(sent)
    let consumer = try fixture.consumer()
    let got = try await fixture.read(4, from: consumer)
    #expect(got.map(\.value) == ["value".bytes, nil, [], [0, 1, 255]])
    #expect(got.allSatisfy { $0.key == "a".bytes && $0.topic == fixture.topic })
    #expect(got.first?.headers == headers)
    #expect(got.first?.header("type") == "last")
    #expect(got.first?.header("none") == nil)
    #expect(got.first?.headers.all.map(\.name) == ["type", "type", "empty", "bytes"])
    #expect(got.first?.headers.all.last?.value == [0, 255, 7])
    #expect(got.last?.headers == [])
    #expect(got.allSatisfy { $0.timestamp >= before - 1000 && $0.timestamp < before + 60_000 })
    for (delivery, message) in zip(deliveries, got) {
      guard case .delivered(let partition, let offset) = delivery else {
        Issue.record("not delivered")
        continue
      }
      #expect(partition == message.partition && offset == message.offset)
    }
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func noKeyAndEmptyKeyDiffer() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    try await fixture.deliver(
      [
        KafkaProducerMessage(topic: fixture.topic, key: nil, value: "none".bytes),
        KafkaProducerMessage(topic: fixture.topic, key: [], value: "empty".bytes),
      ], by: producer)
    let consumer = try fixture.consumer()
    let got = try await fixture.read(2, from: consumer)
    let keys = Dictionary(uniqueKeysWithValues: got.map { ($0.value ?? [], $0.key) })
    #expect(keys["none".bytes] == .some(nil))
    #expect(keys["empty".bytes] == .some([]))
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func eachKeyKeepsItsOrder() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    for start in stride(from: 0, to: 5000, by: 250) {
      try await fixture.deliver(fixture.numbered(start..<start + 250, keys: 37), by: producer)
    }
    let consumer = try fixture.consumer()
    let got = try await fixture.read(5000, from: consumer)
    #expect(got.map(\.number).sorted() == Array(0..<5000))
    for (_, messages) in Dictionary(grouping: got, by: { $0.key ?? [] }) {
      #expect(messages.map(\.number) == messages.map(\.number).sorted())
      #expect(Set(messages.map(\.partition)).count == 1)
    }
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }

  @Test func aBatchHasAtMostTheMaximumAndNothingIsLostBetween() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    try await fixture.deliver(fixture.numbered(0..<1000), by: producer)
    let consumer = try fixture.consumer()
    var got: [Int] = []
    while got.count < 1000 {
      let batch = try await consumer.nextBatch(maximumCount: 7, wait: .seconds(20))
      #expect((1...7).contains(batch.count))
      guard !batch.isEmpty else { break }
      got += batch.map(\.number)
    }
    #expect(got.sorted() == Array(0..<1000))
    #expect(try await consumer.nextBatch(maximumCount: 7, wait: .milliseconds(50)).isEmpty)
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
  }
}
