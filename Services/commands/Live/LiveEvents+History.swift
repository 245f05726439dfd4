import CommandsDomain
import FoundationEssentials
import Kafka
import Loop
import Runtime

// Making up for what readers have missed that nobody keeps in memory.
extension LiveEvents {
  /// One pass over the topics for all who wait; what it has found.
  private struct Pass {
    /// Who waits, by organisation.
    var readers: [UUID: [Int]] = [:]
    /// What was read of each organisation: the offset of each key where it was first seen.
    var known: [UUID: [UInt64: Int64]] = [:]
    /// Where the pass is, and where it ends.
    var position: EventPosition
    let goal: EventPosition
    var kept = 0
  }

  /// So much earlier than where a reader is: to know what it has that may be published once more.
  private static let margin: Int64 = 100
  /// What all readers of one pass together are kept, and hardly more.
  private static let mostBytes = 64 << 20
  /// Without any record for so long a pass ends.
  private static let patience: Duration = .seconds(5)

  /// Until the task is cancelled: one pass at a time, for all who wait by then.
  func makeUp() async {
    while !Task.isCancelled {
      await historyWanted.wait()
      guard !Task.isCancelled, let (begun, start) = begin() else { continue }
      var pass = begun
      do {
        let reader = try KafkaReader(
          configuration: kafka, loop: loop, topics: Self.topics.map(\.rawValue), from: start, logger: logger)
        await read(reader, &pass)
        await reader.close()
      } catch { logger.warning("missed events cannot be read now", ["error": "\(error)"]) }
      finish(pass)
    }
  }

  private func begin() -> (Pass, [[Int64]])? {
    guard let now = positions else { return nil }
    var (start, goal) = (now, EventPosition(now.offsets.map { $0.map { _ in 0 } }))
    var readers: [UUID: [Int]] = [:]
    for (id, member) in members {
      // Who is full has something to tell first.
      guard member.reader.isWaiting, let missing = member.reader.missing else { continue }
      readers[member.organisation, default: []].append(id)
      start.retreat(to: member.reader.position)
      goal.advance(to: missing)
    }
    guard !readers.isEmpty else { return nil }
    start = start.back(Self.margin)
    var offsets = start.offsets
    for topic in offsets.indices {
      for partition in offsets[topic].indices where start[topic, partition] >= goal[topic, partition] {
        offsets[topic][partition] = -1
      }
    }
    return (Pass(readers: readers, position: start, goal: goal), offsets)
  }

  private func read(_ reader: KafkaReader, _ pass: inout Pass) async {
    var last = ContinuousClock.now
    while !Task.isCancelled, !pass.goal.isWithin(pass.position), isWanted(pass) {
      await reader.arrival(until: last + Self.patience)
      let count = reader.take(250) { receive($0, &pass) }
      metrics.madeUp.increment(by: count)
      if count > 0 {
        last = .now
      } else if ContinuousClock.now - last >= Self.patience {
        return logger.warning("missed events did not come; who waits for them is told to read afresh")
      }
      // Others' turn.
      await loop.endOfTurn()
    }
  }

  private func isWanted(_ pass: Pass) -> Bool {
    pass.readers.values.joined().contains { members[$0]?.reader.isWaiting == true }
  }

  private func receive(_ record: KafkaRecord, _ pass: inout Pass) {
    let (topic, partition) = (record.topic, record.partition)
    if record.offset > pass.position[topic, partition] {
      gap(topic, partition, upTo: min(record.offset, pass.goal[topic, partition]), pass)
    }
    pass.position.pass(topic, partition, record.offset)
    guard record.offset < pass.goal[topic, partition], let value = record.value,
      let owner = EventOwner.find(in: value), let readers = pass.readers[owner],
      let event = LiveEvent(record.message, topic: topic), pass.known[owner]?[event.key] == nil
    else { return }
    pass.known[owner, default: [:]][event.key] = event.offset
    pass.kept += event.lines.count
    let bytes = pass.kept > Self.mostBytes ? 0 : limits.bytes
    for id in readers { members[id]?.reader.madeUp(event, atMost: bytes) }
  }

  /// The records up to there are gone: who needed one of them is told.
  private func gap(_ topic: Int, _ partition: Int, upTo offset: Int64, _ pass: Pass) {
    for id in pass.readers.values.joined() {
      guard let reader = members[id]?.reader, let missing = reader.missing else { continue }
      let next = max(reader.position[topic, partition], pass.position[topic, partition])
      if next < min(offset, missing[topic, partition]) { lose(id) }
    }
  }

  private func finish(_ pass: Pass) {
    let isWhole = pass.goal.isWithin(pass.position)
    for (owner, readers) in pass.readers {
      let known = pass.known[owner] ?? [:]
      if isWhole {
        feeds[owner]?.live.remember(known.keys)
        feeds[owner]?.isPrimed = true
      }
      for id in readers where members[id]?.reader.isWaiting == true {
        if isWhole, let feed = feeds[owner] {
          members[id]?.reader.madeUpAll(known, feed.live)
        } else {
          lose(id)
        }
      }
      for id in readers { members[id]?.alarm.signal() }
    }
    // Who came meanwhile.
    if members.values.contains(where: \.reader.isWaiting) { historyWanted.signal() }
  }
}
