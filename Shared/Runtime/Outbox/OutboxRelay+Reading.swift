import FoundationEssentials
import Postgres
import Wire

/// What the relay reads from the table, and deletes.
extension OutboxRelay {
  private static let batch = 500
  /// So many rows may be in hand before no more are read; what is handed over counts, too.
  private static let maximumRows = 20_000

  func deleteFinished(atOnce: Bool) async throws {
    guard let term, term.backlog != .nothing else { return }
    let isTime =
      atOnce || term.backlog == .tooMany || term.lastDeletion + OutboxTerm.deletion.after <= .now
    guard isTime else { return }
    let finished = term.state.takeFinished()
    term.lastDeletion = .now
    try await database.pipeline(Outbox.delete(finished))
    term.state.deleted(finished)
  }

  /// Takes what has come: as it was handed over, where nothing else can have come before it, or else what the table says.
  func takeNews() async throws {
    guard let term else { return }
    let now = ContinuousClock.now
    if term.position.mustSweep(at: now) { return try await sweep(term, at: now) }
    if !term.mustRead, !term.isTimeToRead(at: now) {
      if term.handed.isEmpty { return }
      if let news = term.position.news(of: term.handed.keys.sorted()) {
        term.position.read(news, at: now)
        for id in news { term.takeHanded(id) }
        return term.forget(below: term.position.last)
      }
    }
    // With too much in hand the next look is no sooner for that.
    guard term.state.count < Self.maximumRows else { return term.lastRead = now }
    try await look(term, at: now)
  }

  private func look(_ term: OutboxTerm, at now: ContinuousClock.Instant) async throws {
    (term.mustRead, term.lastRead) = (false, now)
    let ids = try await database.query(
      Outbox.ids(after: term.position.last, or: term.position.missing, limit: Self.batch)
    ).decode(Int64.self).sorted()
    try await take(ids, term)
    term.position.read(ids, at: now)
    term.forget(below: term.position.last)
    if ids.count >= Self.batch {
      term.mustRead = true
      wakeUp.signal()
    }
  }

  /// What was passed by: committed late, or written before this relay began.
  private func sweep(_ term: OutboxTerm, at now: ContinuousClock.Instant) async throws {
    let left = try await database.query(
      Outbox.left(
        after: term.position.floor, upTo: term.position.last, limit: term.state.count + Self.batch)
    ).decode(Int64.self)
    let strays = Array(left.filter { !term.state.has($0) }.prefix(Self.batch))
    try await take(strays, term)
    term.position.read(strays, at: now)
    term.position.swept(at: now, isClean: strays.isEmpty)
    // What has come meanwhile waits for the next look.
    wakeUp.signal()
  }

  /// Takes rows of these ids, ascending: from memory, or from the table.
  private func take(_ ids: [Int64], _ term: OutboxTerm) async throws {
    let unknown = ids.filter { term.handed[$0] == nil && !term.state.has($0) }
    let read = unknown.isEmpty ? [:] : try await rows(unknown)
    for id in ids {
      if let row = read[id] { take(row, term) } else { term.takeHanded(id) }
    }
  }

  private func take(_ row: OutboxRow, _ term: OutboxTerm) {
    if row.events.contains(where: { $0 == nil }) {
      logger.error(
        "a record for a topic that only a newer version knows waits for that version", ["row": "\(row.id)"])
    }
    term.state.took(row.id, row.events, createdAt: row.createdAt)
  }

  /// Reads again what was parked, for lanes that have room.
  func readParked() async throws {
    guard let term else { return }
    for (lane, ids) in term.state.reads {
      let found = try await rows(ids)
      for id in ids {
        term.state.reread(id, found[id]?.events ?? [], createdAt: found[id]?.createdAt ?? .now, for: lane)
      }
    }
  }

  private func rows(_ ids: [Int64]) async throws -> [Int64: OutboxRow] {
    var rows: [Int64: OutboxRow] = [:]
    for row in try await database.query(Outbox.rows(ids)) {
      let (id, createdAt, records) = try row.decode((Int64, Date, [UInt8]).self)
      rows[id] = OutboxRow(id: id, createdAt: createdAt, events: try PackedRecords.unpack(records))
    }
    return rows
  }
}

/// A row as it was read.
struct OutboxRow {
  let id: Int64
  let createdAt: Date
  /// Nil for a record whose topic only a newer version knows.
  let events: [Event?]
}
