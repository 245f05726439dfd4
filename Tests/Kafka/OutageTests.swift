import Foundation
import Kafka
import TestSupport
import Testing

@Suite(
  .serialized,
  .enabled(if: KafkaServer.isReal, "needs KAFKA_HOME: a broker that can be killed and started again"))
struct OutageTests {
  @Test func killedWhileProducingEachMessageIsInTheLogOnce() async throws {
    let server = try await KafkaServer()
    let fixture = try await Fixture(server)
    let producer = try fixture.producer()
    let consumer = try fixture.consumer()
    let total = 5000
    let reading = Task { try await fixture.read(total, from: consumer, within: 120) }
    let sending = Task {
      var offsets: Set<String> = []
      for start in stride(from: 0, to: total, by: 50) {
        for delivery in try await producer.send(fixture.numbered(start..<start + 50)) {
          guard case .delivered(let partition, let offset) = delivery else {
            Issue.record("not delivered: \(delivery)")
            continue
          }
          if offset >= 0 { offsets.insert("\(partition)/\(offset)") }
        }
        try await Task.sleep(for: .milliseconds(10))
      }
      return offsets.count
    }
    try await Task.sleep(for: .milliseconds(400))
    server.kill()
    try await Task.sleep(for: .milliseconds(500))
    try await server.restart()
    #expect(try await sending.value <= total)
    let got = try await reading.value
    #expect(got.map(\.number).sorted() == Array(0..<total))
    let admin = try fixture.admin()
    let ends = try await admin.endOffsets(topic: fixture.topic, timeout: .seconds(20))
    #expect(ends.values.reduce(0, +) == Int64(total))
    for (_, messages) in Dictionary(grouping: got, by: { $0.key ?? [] }) {
      #expect(messages.map(\.number) == messages.map(\.number).sorted())
    }
    await consumer.close(timeout: .seconds(5))
    await producer.shutdown(timeout: .seconds(5))
    await admin.shutdown()
    server.kill()
  }

  @Test func aHangingBrokerIsWaitedOutAndCloseIsBounded() async throws {
    let server = try await KafkaServer()
    let fixture = try await Fixture(server)
    let producer = try fixture.producer()
    let consumer = try fixture.consumer()
    try await fixture.deliver(fixture.numbered(0..<100), by: producer)
    #expect(try await fixture.read(100, from: consumer).count == 100)
    server.signal(SIGSTOP)
    // The signal reaches a busy process's threads a little later.
    try await Task.sleep(for: .milliseconds(300))
    async let late: Void = fixture.deliver(fixture.numbered(100..<200), by: producer)
    #expect(try await consumer.nextBatch(maximumCount: 10, wait: .seconds(3)).isEmpty)
    server.signal(SIGCONT)
    try await late
    #expect(try await fixture.read(100, from: consumer).map(\.number).sorted() == Array(100..<200))
    server.signal(SIGSTOP)
    let start = ContinuousClock.now
    await consumer.close(timeout: .seconds(2))
    await producer.shutdown(timeout: .seconds(2))
    #expect(.now - start < .seconds(12))
    server.signal(SIGCONT)
    server.kill()
  }
}
