import Postgres

/// Whose fault it is that a batch could not be applied: what decides between waiting and setting aside.
enum ConsumerFault {
  /// The database is away, overloaded, read-only or shut down, another writer was there first, or the partition has another
  /// owner: the same records may well be applied in a moment.
  case trouble
  /// The server refused the values themselves (SQLSTATE classes 22 and 23): trying again cannot help.
  case values
  /// Anything else. It may be a record's fault or ours: tried again a few times, then the record's.
  case unknown

  init(_ error: any Error) {
    guard let error = error as? PostgresError else {
      self = .unknown
      return
    }
    switch error.kind {
    case _ where error.isRetryable: self = .trouble
    case .cancelled: self = .trouble
    case _ where error.isMissedGuard: self = .trouble
    case .server(let state): self = Self.fault(state)
    case .connection, .timeout, .decoding, .configuration, .migration, .usage: self = .unknown
    }
  }

  /// Of a state that is not retryable for a single caller: here the whole batch is tried again, from the stored offset.
  private static func fault(_ state: String) -> ConsumerFault {
    switch state.prefix(2) {
    case "40", "55", "57": .trouble
    case "22", "23": .values
    // A standby that has not been promoted yet.
    default: state == "25006" ? .trouble : .unknown
    }
  }
}

/// Whether a consumer gets on with what it has to do.
struct ConsumerProgress {
  /// After so long without progress, with work waiting, the service says that it is not ready.
  static let patience: Duration = .seconds(30)
  /// So many records of one type in a row of which none could be applied are not to blame: something is wrong with all.
  static let mostInARow = 10

  private var since: ContinuousClock.Instant?
  private var reason = ""
  private var setAside: [String: Int] = [:]

  /// Nothing waits that cannot be applied.
  mutating func moved() { since = nil }

  /// Records of these types were applied.
  mutating func applied(_ types: Set<String>) {
    for type in types { setAside[type] = nil }
  }

  /// Records could not be applied, and wait.
  mutating func stuck(_ error: any Error, at now: ContinuousClock.Instant) {
    since = since ?? now
    reason = "\(error)"
  }

  /// A record whose fault is not known is to be set aside.
  /// - Returns: whether it may be.
  mutating func mayBlameRecord(of type: String) -> Bool {
    guard setAside[type, default: 0] < Self.mostInARow else { return false }
    setAside[type, default: 0] += 1
    return true
  }

  /// Whether any type has been blamed since it was last applied.
  var hasBlamed: Bool { !setAside.isEmpty }

  /// How long it has stood still.
  func stalled(at now: ContinuousClock.Instant) -> Duration { since.map { $0.duration(to: now) } ?? .zero }

  /// What to say of it; nil while it is not worth a word.
  func complaint(at now: ContinuousClock.Instant) -> String? {
    let stalled = stalled(at: now)
    guard stalled >= Self.patience else { return nil }
    return "no progress for \(stalled.components.seconds) s with records waiting: \(reason)"
  }
}
