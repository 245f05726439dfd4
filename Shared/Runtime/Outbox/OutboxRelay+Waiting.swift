import Loop
import Postgres

extension OutboxRelay {
  /// Waits until Kafka has all that was committed before this call, whoever committed it: for what answers for a change that
  /// another process has made.
  /// - Returns: false if that took longer than `limit`.
  public nonisolated func publishedAll(within limit: Duration = .seconds(2)) async throws -> Bool {
    let end = ContinuousClock.now + limit
    guard let last = try await database.query(Outbox.last).first?.decode(Int64?.self) else { return true }
    var patience: Duration = .milliseconds(5)
    while try await database.query(Outbox.isAnyWaiting(upTo: last)).first?.decode(Bool.self) == true {
      if ContinuousClock.now >= end { return false }
      try await loop.sleep(for: patience)
      patience = min(patience * 2, .milliseconds(100))
    }
    return true
  }
}
