import FoundationEssentials
import Loop
import Observability
import Postgres
import Wire

/// Gives the lanes what waits in the table, once, and deletes what they have published.
struct OutboxFeed {
  struct Lanes: Sendable {
    let urgent: OutboxLane
    let gathering: OutboxLane
  }

  private static let batch = 1000
  /// So many may be on their way in each lane. Events are small, and must not hold commands up.
  private static let most = (urgent: 2 * batch, gathering: 10 * batch)
  /// How long, and how many, published records may wait to be deleted together.
  private static let deletion: (after: Duration, count: Int) = (.milliseconds(50), 2000)
  /// The safety net when no wake-up comes.
  private static let poll: Duration = .milliseconds(500)

  private let loop: EventLoop
  private let database: PostgresClient
  private let handoff: OutboxHandoff
  private let lanes: Lanes
  private let logger: Logger
  private var position = OutboxPosition()
  /// What the lanes have.
  private var held: Set<Int64> = []
  /// For topics that only a newer version knows: they stay, and hold nothing up.
  private var unknown: Set<Int64> = []
  private var published: [Int64] = []
  private var lastDeletion = ContinuousClock.now
  private var lastRead = ContinuousClock.now
  private var pace = Pace()

  init(loop: EventLoop, database: PostgresClient, handoff: OutboxHandoff, lanes: Lanes, logger: Logger) {
    self.loop = loop
    (self.database, self.handoff, self.lanes, self.logger) = (database, handoff, lanes, logger)
  }

  /// A record as it was read.
  private struct Read {
    let id: Int64
    /// Nil if a newer version wrote it, for a topic that this one does not know.
    let row: Outbox.Row?
  }

  /// - Parameter bell: rung by each commit that wrote to the table.
  mutating func run(wokenBy bell: Wakeup) async throws {
    while true {
      try Task.checkCancellation()
      try await delete()
      let isFull = lanes.urgent.count >= Self.most.urgent || lanes.gathering.count >= Self.most.gathering
      let isIdle = isFull ? true : try await feed()
      // Whoever commits meanwhile has rung already: then this returns at once.
      if isIdle { await bell.wait(atMost: held.isEmpty ? Self.poll : Self.deletion.after) }
    }
  }

  private mutating func delete() async throws {
    published += lanes.urgent.takeDone() + lanes.gathering.takeDone()
    let isTime = !published.isEmpty && lastDeletion + Self.deletion.after <= .now
    guard isTime || published.count >= Self.deletion.count else { return }
    try await database.pipeline(Outbox.delete(published))
    held.subtract(published)
    published = []
    lastDeletion = .now
  }

  /// - Returns: false if there is more to do at once.
  private mutating func feed() async throws -> Bool {
    let now = ContinuousClock.now
    let isSweep = position.mustSweep(at: now)
    let rows = isSweep ? try await strays() : try await news(at: now)
    position.read(rows.map(\.id), at: now)
    if isSweep { position.swept(at: now, isClean: rows.isEmpty) }
    give(rows.filter { !held.contains($0.id) })
    return !isSweep && rows.count < Self.batch
  }

  private mutating func give(_ rows: [Read]) {
    for read in rows where read.row == nil && unknown.insert(read.id).inserted {
      logger.error(
        "a record for a topic that only a newer version knows waits for that version", ["id": "\(read.id)"])
    }
    let known = rows.compactMap(\.row)
    held.formUnion(known.map(\.id))
    lanes.urgent.add(known.filter(\.event.isUrgent))
    lanes.gathering.add(known.filter { !$0.event.isUrgent })
  }

  /// What has come: as it was handed over, where nothing else can have come before it, or from the table.
  private mutating func news(at now: ContinuousClock.Instant) async throws -> [Read] {
    let (handed, mustRead) = handoff.take()
    let isTime = now - lastRead >= (position.hasGaps ? Self.deletion.after : Self.poll)
    if !mustRead, !isTime, let news = position.news(of: handed.map(\.id)) {
      let fresh = Set(news)
      return handed.filter { fresh.contains($0.id) }.map { Read(id: $0.id, row: $0) }
    }
    try await pace.wait(on: loop)
    let rows = try await read(Outbox.select(after: position.last, or: position.missing, limit: Self.batch))
    pace.began(rows.count, at: .now)
    lastRead = .now
    // What was handed over may lie behind the limit.
    if rows.count >= Self.batch { handoff.mustRead() }
    return rows
  }

  /// What was passed by: committed late, or written before this relay began.
  private func strays() async throws -> [Read] {
    let left = try await database.query(
      Outbox.left(
        after: position.floor, upTo: position.last, limit: 2 * (held.count + unknown.count) + Self.batch)
    ).decode(Int64.self)
    let strays = left.filter { !held.contains($0) && !unknown.contains($0) }.prefix(Self.batch)
    return strays.isEmpty ? [] : try await read(Outbox.select(after: .max, or: Array(strays), limit: 0))
  }

  private func read(_ query: PostgresQuery) async throws -> [Read] {
    try await database.query(query).map(Self.read).sorted { $0.id < $1.id }
  }

  private static func read(_ row: PostgresRow) throws -> Read {
    let (id, topic, key, type, payload, traceparent, createdAt) = try row.decode(
      (Int64, String, String, String, String?, String?, Date).self)
    guard let topic = KafkaTopic(rawValue: topic) else { return Read(id: id, row: nil) }
    let event = Event(
      topic: topic, key: key, type: type, payload: payload.map { Array($0.utf8) }, traceparent: traceparent)
    return Read(id: id, row: Outbox.Row(id: id, event: event, createdAt: createdAt))
  }
}
