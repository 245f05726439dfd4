import Foundation
import Kafka
import Loop
import TestSupport
import Testing
import Threads

/// Reads as an actor of the loop does.
private actor Follower {
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  private nonisolated let loop: EventLoop

  init(_ loop: EventLoop) { self.loop = loop }

  /// The offsets of each partition, in order, until there are so many in all; and the values.
  func read(_ fixture: Fixture, from offsets: [Int64], count: Int) async throws -> (
    offsets: [[Int64]], values: Set<String>
  ) {
    let reader = try KafkaReader(
      configuration: fixture.configuration(), loop: loop, topics: [fixture.topic], from: [offsets],
      logger: fixture.logger)
    var (found, values): ([[Int64]], Set<String>) = (offsets.map { _ in [] }, [])
    let end = ContinuousClock.now + .seconds(30)
    while found.reduce(0, { $0 + $1.count }) < count, .now < end {
      await reader.arrival(until: .now + .seconds(1))
      reader.take(100) { record in
        found[record.partition].append(record.offset)
        values.insert(String(decoding: record.message.value ?? [], as: UTF8.self))
      }
    }
    await reader.close()
    return (found, values)
  }

  /// Opens and closes in the midst of reading.
  func glance(_ fixture: Fixture) async throws {
    let reader = try KafkaReader(
      configuration: fixture.configuration(), loop: loop, topics: [fixture.topic],
      from: [Array(repeating: 0, count: Fixture.partitions)], logger: fixture.logger)
    await reader.arrival(until: .now + .milliseconds(Int.random(in: 0...20)))
    reader.take(5) { _ in }
    await reader.close()
  }
}

@Suite("Reading outside of a group")
struct ReaderTests {
  @Test("every reader gets everything from where it begins, each partition in order and without gaps")
  func all() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    _ = try await producer.send(fixture.numbered(0..<400))
    async let one = Follower(fixture.loop).read(fixture, from: [0, 0, 0, 0], count: 500)
    async let two = Follower(fixture.loop).read(fixture, from: [0, 0, 0, 0], count: 500)
    _ = try await producer.send(fixture.numbered(400..<500))
    for (offsets, values) in [try await one, try await two] {
      #expect(values == Set((0..<500).map { "\($0)" }))
      for partition in offsets { #expect(partition == Array(0..<Int64(partition.count))) }
    }
    // From the middle, and one partition not at all.
    let (whole, _) = try await one
    let rest = whole[0].count - 3 + whole[2].count + whole[3].count
    let (some, _) = try await Follower(fixture.loop).read(fixture, from: [3, -1, 0, 0], count: rest)
    #expect(
      some[0] == Array(whole[0].dropFirst(3)) && some[1].isEmpty && some[2] == whole[2] && some[3] == whole[3]
    )
    await producer.shutdown(timeout: .seconds(2))
  }

  @Test("closing in the midst of reading is clean, at whatever moment")
  func closing() async throws {
    let fixture = try await Fixture()
    let producer = try fixture.producer()
    _ = try await producer.send(fixture.numbered(0..<1000))
    for _ in 0..<50 { try await Follower(fixture.loop).glance(fixture) }
    await producer.shutdown(timeout: .seconds(2))
  }
}
