/// Decides which statements stay prepared on one connection. Pure: it says what to do and is told what happened.
struct StatementCache {
  /// A statement: its text and the types of its binds.
  struct Key: Hashable {
    let sql: String
    let types: [UInt32]
  }

  private struct Entry {
    let name: String
    var lastUse: UInt64
    /// False until the server has confirmed the preparation.
    var isPrepared: Bool
  }

  private let limit: Int
  private var entries: [Key: Entry] = [:]
  private var clock: UInt64 = 0
  private var lastName: UInt64 = 0
  /// Names at the server that nothing uses any more, to be given back with the next exchange.
  private(set) var leftovers: [String] = []

  init(limit: Int) { self.limit = limit }

  var count: Int { entries.count }

  /// A statement is about to be executed: its name, and whether it has to be prepared first.
  mutating func used(_ key: Key) -> (name: String, isNew: Bool) {
    clock += 1
    if let name = entries[key]?.name {
      entries[key]?.lastUse = clock
      return (name, false)
    }
    if entries.count >= limit { evictOldest() }
    lastName += 1
    let name = "m\(lastName)"
    entries[key] = Entry(name: name, lastUse: clock, isPrepared: false)
    return (name, true)
  }

  /// The server has the statement.
  mutating func prepared(_ key: Key, name: String) {
    if entries[key]?.name == name {
      entries[key]?.isPrepared = true
    } else {
      leftovers.append(name)  // evicted by a later statement of the same exchange
    }
  }

  /// The server refused the statement or never looked at it.
  mutating func preparationFailed(_ key: Key, name: String) {
    if entries[key]?.name == name { entries[key] = nil }
  }

  /// The server's statement is of no use any more (its plan does not fit a changed table): prepare it anew.
  mutating func invalidated(_ key: Key) {
    guard let entry = entries.removeValue(forKey: key) else { return }
    if entry.isPrepared { leftovers.append(entry.name) }
  }

  /// The server has forgotten its statements (`DEALLOCATE ALL`).
  mutating func vanished() {
    entries = [:]
    leftovers = []
  }

  /// The server has let go of it.
  mutating func deallocated(_ name: String) { leftovers.removeAll { $0 == name } }

  private mutating func evictOldest() {
    guard let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) else { return }
    entries[oldest.key] = nil
    // One that is not confirmed yet becomes a leftover when it is.
    if oldest.value.isPrepared { leftovers.append(oldest.value.name) }
  }
}
