import FoundationEssentials
import Wire

/// What the relay has in hand and what it does next: a pure state machine. `docs/relay.md` draws it.
///
/// A row's records go into lanes: those of one topic whose keys fall together. A lane has one batch on its way at a time,
/// so the order of each key is kept whatever fails, and a partition that does not answer holds up its own lane and nothing
/// else. A lane that has too much waiting parks what comes: it remembers row and place, and the row is read again when
/// there is room.
struct OutboxState {
  struct LaneID: Sendable, Equatable {
    let topic: KafkaTopic
    let number: Int
    fileprivate var index: Int { topic.number * OutboxState.lanes + number }
  }

  /// A record on its way.
  struct Entry: Sendable {
    let row: Int64
    /// Its place in the row.
    let index: Int
    let event: Event
    let createdAt: Date
  }

  /// What is left to do for a row.
  private struct Row {
    var open: Int
    /// Of those that somebody may wait for.
    var urgent: Int
    /// It holds records for a topic that only a newer version knows: it stays in the table.
    var stays = false
  }

  fileprivate struct Lane {
    var waiting: [Entry] = []
    var bytes = 0
    var isOnItsWay = false
    var notBefore: ContinuousClock.Instant?
    var failures = 0
    /// Rows whose records of this lane have to be read again, in their order.
    var parked: [(row: Int64, index: Int)] = []
  }

  /// So many lanes for a topic: as many as partitions, so that one that is away holds up its part.
  static let lanes = KafkaTopic.partitions
  static let maximumBatch = 1000
  /// What one lane holds in memory, and half as much again on its way.
  static let maximumLaneBytes = 1024 * 1024

  private var rows: [Int64: Row] = [:]
  /// All there can be, by their index.
  private var all = [Lane](repeating: Lane(), count: KafkaTopic.allCases.count * lanes)
  private var finished: [Int64] = []
  /// Before this nothing goes that only tells.
  private var nextTelling: ContinuousClock.Instant?

  /// Whether the row is in hand: on its way, to be deleted, or left for a newer version.
  func has(_ row: Int64) -> Bool { rows[row] != nil }

  /// How many rows are in hand.
  var count: Int { rows.count }
  /// Whether anything is on its way.
  var isOnItsWay: Bool { all.contains { $0.isOnItsWay } }

  /// Whether those of its records that somebody may wait for are in Kafka; nil if the row is not in hand.
  func isUrgentDone(_ row: Int64) -> Bool? { rows[row].map { $0.urgent == 0 } }

  // MARK: What comes

  /// A row was committed or read.
  /// - Parameter events: nil for those that this version does not know.
  mutating func took(_ row: Int64, _ events: [Event?], createdAt: Date) {
    guard rows[row] == nil else { return }
    var state = Row(open: 0, urgent: 0)
    for (index, event) in events.enumerated() {
      guard let event else {
        state.stays = true
        continue
      }
      state.open += 1
      if event.isUrgent { state.urgent += 1 }
      add(Entry(row: row, index: index, event: event, createdAt: createdAt))
    }
    rows[row] = state
    finishIfDone(row)
  }

  private mutating func add(_ entry: Entry) {
    all[Self.lane(of: entry.event).index].add(entry)
  }

  /// A parked row was read again, in the order of `reads`; without events if it is not there any more.
  mutating func reread(_ row: Int64, _ events: [Event?], createdAt: Date, for id: LaneID) {
    while let first = all[id.index].parked.first, first.row == row {
      all[id.index].parked.removeFirst()
      if first.index < events.count, let event = events[first.index] {
        all[id.index].put(Entry(row: row, index: first.index, event: event, createdAt: createdAt))
      }
    }
  }

  /// A lane's batch has its reports.
  /// - Parameter isDone: for each entry of the batch, in order: Kafka has it, or the dead-letter topic. What follows one that
  ///   is not done with the same key is sent again behind it.
  mutating func reported(_ id: LaneID, _ batch: [Entry], isDone: [Bool], at now: ContinuousClock.Instant) {
    var left: [Entry] = []
    var failed: Set<String> = []
    // Those of one row mostly stand together: it is looked up once for them.
    var (row, open, urgent) = (Int64.min, 0, 0)
    for index in batch.indices {
      guard isDone[index], failed.isEmpty || !failed.contains(batch[index].event.key) else {
        failed.insert(batch[index].event.key)
        left.append(batch[index])
        continue
      }
      if batch[index].row != row {
        done(row, open: open, urgent: urgent)
        (row, open, urgent) = (batch[index].row, 0, 0)
      }
      open += 1
      if batch[index].event.isUrgent { urgent += 1 }
    }
    done(row, open: open, urgent: urgent)
    all[id.index].isOnItsWay = false
    all[id.index].failed(left, at: now)
  }

  /// Whether the lane has more to do.
  func hasMore(_ id: LaneID) -> Bool {
    !all[id.index].waiting.isEmpty || !all[id.index].parked.isEmpty
  }

  private mutating func done(_ row: Int64, open: Int, urgent: Int) {
    guard open > 0, var state = rows[row] else { return }
    state.open -= open
    state.urgent -= urgent
    rows[row] = state
    finishIfDone(row)
  }

  private mutating func finishIfDone(_ row: Int64) {
    if let state = rows[row], state.open == 0, !state.stays { finished.append(row) }
  }

  // MARK: What goes

  /// The batches that can go now, each on its way from here on.
  ///
  /// What only tells (public events) goes at once after a rest, and then at most once in `pause`, all lanes together: a
  /// record by itself costs the broker 0.45 ms of CPU, one of a burst of twelve 0.13, of forty-eight 0.04.
  mutating func batches(at now: ContinuousClock.Instant, tellingEach pause: Duration = .zero) -> [(
    id: LaneID, batch: [Entry]
  )] {
    var batches: [(LaneID, [Entry])] = []
    let mayTell = nextTelling.map { $0 <= now } ?? true
    for index in all.indices where all[index].isReady(at: now) {
      let id = Self.id(index)
      if id.topic.onlyTells {
        guard mayTell else { continue }
        nextTelling = now + pause
      }
      batches.append((id, all[index].next()))
    }
    return batches
  }

  /// When a lane that waits may go: after a failure, or because it only tells.
  var nextGo: ContinuousClock.Instant? {
    var next: ContinuousClock.Instant?
    // In place: most lanes are empty, and this is asked for with each step.
    for index in all.indices where !all[index].isOnItsWay && !all[index].waiting.isEmpty {
      var go = all[index].notBefore
      if let nextTelling, Self.id(index).topic.onlyTells { go = max(nextTelling, go ?? nextTelling) }
      if let go { next = min(go, next ?? go) }
    }
    return next
  }

  /// The rows to read again for lanes that have room, in the order in which they came.
  var reads: [(id: LaneID, rows: [Int64])] {
    var reads: [(LaneID, [Int64])] = []
    for index in all.indices
    where !all[index].parked.isEmpty && all[index].bytes < Self.maximumLaneBytes / 2 {
      var seen: Set<Int64> = []
      let rows = all[index].parked.prefix(200).map(\.row).filter { seen.insert($0).inserted }
      reads.append((Self.id(index), rows))
    }
    return reads
  }

  /// The rows whose records are all in Kafka, each once: to be deleted.
  mutating func takeFinished() -> [Int64] {
    defer { finished = [] }
    return finished
  }

  /// How many can be deleted.
  var finishedCount: Int { finished.count }

  /// These are not in the table any more.
  mutating func deleted(_ ids: [Int64]) { for id in ids { rows[id] = nil } }

  private static func lane(of event: Event) -> LaneID {
    // Every process puts a key where it likes, as long as it stays there.
    LaneID(topic: event.topic, number: Int(event.key.fnv1a() % UInt64(lanes)))
  }

  private static func id(_ index: Int) -> LaneID {
    LaneID(topic: KafkaTopic.allCases[index / lanes], number: index % lanes)
  }
}

extension OutboxState.Lane {
  fileprivate func isReady(at now: ContinuousClock.Instant) -> Bool {
    !isOnItsWay && !waiting.isEmpty && notBefore.map { $0 <= now } ?? true
  }

  /// Behind what is parked, if anything is: the order of a key is kept.
  fileprivate mutating func add(_ entry: OutboxState.Entry) {
    if parked.isEmpty, bytes < OutboxState.maximumLaneBytes {
      put(entry)
    } else {
      parked.append((entry.row, entry.index))
    }
  }

  fileprivate mutating func put(_ entry: OutboxState.Entry) {
    waiting.append(entry)
    bytes += Self.size(entry)
  }

  fileprivate mutating func next() -> [OutboxState.Entry] {
    isOnItsWay = true
    var (count, size) = (0, 0)
    while count < min(waiting.count, OutboxState.maximumBatch), size < OutboxState.maximumLaneBytes / 2 {
      size += Self.size(waiting[count])
      count += 1
    }
    bytes -= size
    guard count < waiting.count else {
      defer { waiting = [] }
      return waiting
    }
    defer { waiting.removeFirst(count) }
    return Array(waiting.prefix(count))
  }

  /// These go again, first, after 0.2, 0.4 … 5 s.
  fileprivate mutating func failed(_ left: [OutboxState.Entry], at now: ContinuousClock.Instant) {
    guard !left.isEmpty else { return (failures, notBefore) = (0, nil) }
    failures += 1
    notBefore = now + min(.milliseconds(100) * (1 << min(failures, 6)), .seconds(5))
    waiting.insert(contentsOf: left, at: 0)
    bytes += left.reduce(0) { $0 + Self.size($1) }
  }

  private static func size(_ entry: OutboxState.Entry) -> Int { 200 + (entry.event.payload?.count ?? 0) }
}
