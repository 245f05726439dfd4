import CommandsDomain
import FoundationEssentials
import Kafka
import Loop
import Observability
import Runtime
import Wire

/// The live events of all organisations that have readers on this replica (decision 25).
///
/// As long as anybody listens it follows the topics of public events, outside of any group, and keeps the newest of each
/// organisation that has readers; who comes back from further away is read to from Kafka. With nobody there it costs nothing.
actor LiveEvents: Service {
  struct Limits: Sendable {
    /// On this replica.
    var readers = 3000
    /// Of one organisation, on this replica.
    var readersOfOrganisation = 500
    /// Who has more records to be made up than that, everybody's counted, reads afresh.
    var records: Int64 = 200_000
    /// So much of them is read for one reader at a time.
    var bytes = 8 << 20
    var heartbeat: Duration = .seconds(15)
    /// How long events are kept after the last reader has gone: most come back.
    var idle: Duration = .seconds(30)
  }

  /// Why a reader hears no more.
  enum End: Error { case revoked, behind, stopped }

  /// The events of an organisation, and who reads them.
  struct Feed {
    var live: LiveFeed
    var readers: Set<Int> = []
    /// What was published shortly before it began is known: resumed readers see no repeats.
    var isPrimed = false
    var idleSince: ContinuousClock.Instant?
  }

  struct Member {
    let organisation: UUID
    let key: UUID?
    let alarm: Wakeup
    var reader: LiveReader
    var end: End?
    var mustBeat = false
    var cancel: (@Sendable () -> Void)?
  }

  static let topics: [KafkaTopic] = [.commandsEvents, .configEvents, .registryEvents]

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  nonisolated let loop: EventLoop
  nonisolated let limits: Limits
  let kafka: KafkaConfiguration
  let producer: KafkaProducer
  let logger: Logger
  let metrics: LiveMetrics

  /// Where following is; nil as long as it does not.
  var positions: EventPosition?
  /// A hash of the cluster's id; nil until it is known.
  var cluster: UInt32?
  var feeds: [UUID: Feed] = [:]
  var members: [Int: Member] = [:]
  private var lastMember = 0
  /// Calls that wait for the first position.
  var waiting: [Int: Wakeup] = [:]
  private var lastWaiting = 0
  let wanted: Wakeup
  let historyWanted: Wakeup
  var isOver = false

  init(_ runtime: ServiceRuntime, limits: Limits = Limits()) {
    (loop, self.limits) = (runtime.loop, limits)
    (kafka, producer) = (runtime.kafka, runtime.producer)
    logger = runtime.logger.labelled("live-events")
    metrics = LiveMetrics(runtime.metrics)
    (wanted, historyWanted) = (Wakeup(runtime.loop), Wakeup(runtime.loop))
  }

  func run() async throws {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.follow() }
      group.addTask { await self.makeUp() }
    }
    isOver = true
    for id in members.keys { end(id, .stopped) }
  }

  // MARK: Readers

  /// Lets a reader in.
  /// - Parameter lastEventId: the id of the last event that it got.
  /// - Throws: 429 or 503 if there are too many, 503 if Kafka cannot be reached.
  func open(
    _ filter: LiveFilter, of organisation: UUID, key: UUID?, after lastEventId: String?
  ) async throws -> LiveStream {
    lastWaiting += 1
    let (number, alarm) = (lastWaiting, Wakeup(loop))
    waiting[number] = alarm
    defer { waiting[number] = nil }
    try await following(alarm)
    var resumed = lastEventId.flatMap { text in
      cluster.flatMap { EventPosition(text: text, cluster: $0, topics: Self.topics.count) }
    }
    if let position = resumed, try await !isKnown(position) { resumed = nil }
    // Nothing is awaited from here on.
    guard let now = positions else { throw Self.unavailable }
    try checkRoom(organisation)
    lastMember += 1
    let id = lastMember
    var feed = feeds[organisation] ?? Feed(live: LiveFeed(from: now))
    var reader = LiveReader(filter, at: now, feed.live)
    if lastEventId != nil { resume(&reader, at: resumed, now, &feed) }
    feed.readers.insert(id)
    feed.idleSince = nil
    feeds[organisation] = feed
    members[id] = Member(organisation: organisation, key: key, alarm: Wakeup(loop), reader: reader)
    metrics.readers.set(Double(members.count))
    return LiveStream(id, self, members[id]?.alarm ?? Wakeup(loop))
  }

  private func resume(
    _ reader: inout LiveReader, at position: EventPosition?, _ now: EventPosition, _ feed: inout Feed
  ) {
    guard let position, position.distance(to: now) <= limits.records else {
      metrics.resets.increment()
      return reader.lost(at: now, feed.live)
    }
    if feed.isPrimed, reader.resume(from: position, in: feed.live) { return }
    reader.wait(from: position, until: now)
    historyWanted.signal()
  }

  /// Whether a position is one that has been: another replica may be further than this one, but not further than Kafka.
  private func isKnown(_ position: EventPosition) async throws -> Bool {
    guard let now = positions, !position.hasMorePartitions(than: now) else { return false }
    if position.isWithin(now) { return true }
    return position.isWithin(try await ends())
  }

  private func checkRoom(_ organisation: UUID) throws {
    guard feeds[organisation]?.readers.count ?? 0 < limits.readersOfOrganisation else {
      throw Problem(
        429, "The organisation has \(limits.readersOfOrganisation) streams of events open here. Close some.",
        headers: [("Retry-After", "5")])
    }
    guard members.count < limits.readers, !isOver else {
      throw Problem(
        503, "Too many streams of events are open here; try again in a moment.",
        headers: [("Retry-After", "5")])
    }
  }

  private static let unavailable = Problem.unavailable("Events cannot be followed at this moment.")

  private func following(_ alarm: Wakeup) async throws {
    wanted.signal()
    let end = ContinuousClock.now + .seconds(5)
    while positions == nil || cluster == nil {
      guard .now < end, !isOver else { throw Self.unavailable }
      await alarm.wait(until: end)
      try Task.checkCancellation()
    }
  }

  /// The next lines for a reader; empty if there are none.
  /// - Parameter beats: whether it is to hear that the connection lives.
  func next(_ id: Int, beats: Bool) throws(End) -> [UInt8] {
    if let end = members[id]?.end { throw end }
    guard let owner = members[id]?.organisation, let feed = feeds[owner]?.live, let cluster,
      let now = positions
    else { throw .stopped }
    if members[id]?.reader.isBehind(feed) == true { throw .behind }
    let beats = members[id]?.mustBeat == true || beats
    members[id]?.mustBeat = false
    let wasFull = members[id]?.reader.isFull == true
    let lines = members[id]?.reader.take(feed, now: now, cluster: cluster, beats: beats) ?? []
    if wasFull, members[id]?.reader.isFull == false { historyWanted.signal() }
    return lines
  }

  /// Has the task ended that writes to it, when it is cut off.
  func attach(_ id: Int, cancel: @escaping @Sendable () -> Void) { members[id]?.cancel = cancel }

  /// The reader has gone.
  func leave(_ id: Int) {
    guard let member = members.removeValue(forKey: id) else { return }
    feeds[member.organisation]?.readers.remove(id)
    if feeds[member.organisation]?.readers.isEmpty == true {
      feeds[member.organisation]?.idleSince = .now
    }
    metrics.readers.set(Double(members.count))
  }

  func end(_ id: Int, _ reason: End) {
    guard members[id]?.end == nil else { return }
    members[id]?.end = reason
    if case .behind = reason { metrics.cut.increment() }
    members[id]?.alarm.signal()
    if case .behind = reason { members[id]?.cancel?() }
  }

  /// Where the topics end now.
  func ends() async throws -> EventPosition {
    var offsets: [[Int64]] = []
    for topic in Self.topics {
      let ends = try await producer.endOffsets(topic: topic.rawValue, timeout: .seconds(2))
      offsets.append((0..<Int32(ends.count)).map { ends[$0] ?? 0 })
    }
    return EventPosition(offsets)
  }
}

/// A reader's place among all; it leaves with the last reference.
final class LiveStream: Sendable {
  let id: Int
  let events: LiveEvents
  let alarm: Wakeup

  init(_ id: Int, _ events: LiveEvents, _ alarm: Wakeup) {
    (self.id, self.events, self.alarm) = (id, events, alarm)
  }

  deinit {
    let (id, events) = (id, events)
    events.loop.execute { events.assumeIsolated { $0.leave(id) } }
  }
}

/// What live events cost.
struct LiveMetrics: Sendable {
  let readers: Gauge
  let resets: Counter
  let cut: Counter
  let madeUp: Counter

  init(_ metrics: Metrics) {
    readers = metrics.gauge("martlet_live_readers", help: "Streams of events that are open.")
    resets = metrics.counter(
      "martlet_live_resets_total", help: "Readers that were told to read afresh.")
    cut = metrics.counter("martlet_live_cut_total", help: "Readers that were too slow, and cut off.")
    madeUp = metrics.counter(
      "martlet_live_made_up_records_total", help: "Records read again from Kafka for readers that came back.")
  }
}
