import FoundationEssentials
import HTTP
import Loop
import Postgres

extension Idempotency {
  /// Holds a request's key for work that is more than one transaction; nil if it has none.
  ///
  /// A lease in a table and no lock: it costs no connection meanwhile, and ends by itself within a minute when the process dies.
  /// - Throws: 409 while another one runs; 422 and the first answer as `once`.
  public func hold<Answer: Sendable>(_ once: Once<Answer>) async throws -> IdempotencyHold? {
    guard let key = once.key else { return nil }
    let hold = IdempotencyHold(database: database, id: UUID())
    let taken = try await database.query(
      """
      INSERT INTO idempotency_hold AS h (organisation_id, key, holder, held_until)
      VALUES (\(key.organisation), \(key.text), \(hold.id), \(unescaped: IdempotencyHold.end))
      ON CONFLICT (organisation_id, key) DO UPDATE SET (holder, held_until) = (EXCLUDED.holder, EXCLUDED.held_until)
        WHERE h.held_until < now()
      """
    ).affectedRows
    guard taken > 0 else { throw Problem.stillRunning }
    // Whoever held it before may have left its answer since it was looked for.
    if let row = try await database.query(Self.find(key)).first {
      await hold.release()
      throw try once.earlier(row, key)
    }
    return hold
  }
}

/// A key that is held.
public struct IdempotencyHold: Sendable {
  let database: PostgresClient
  let id: UUID

  static let end = "now() + interval '60 s'"
  private static let renewal: Duration = .seconds(15)

  /// Does the work, and lets the key go.
  public func during<Value: Sendable>(_ body: @Sendable () async throws -> Value) async throws -> Value {
    let result: Result<Value, any Error>
    do {
      result = .success(
        try await withThrowingTaskGroup(of: Void.self) { group in
          group.addTask { try await renew() }
          defer { group.cancelAll() }
          return try await body()
        })
    } catch { result = .failure(error) }
    await release()
    return try result.get()
  }

  /// While the database is away there is nothing to renew, nor anything that goes on.
  private func renew() async throws {
    while true {
      try await database.loop.sleep(for: Self.renewal)
      _ = try? await database.query(
        "UPDATE idempotency_hold SET held_until = \(unescaped: Self.end) WHERE holder = \(id)")
    }
  }

  /// What cannot be deleted ends by itself.
  func release() async { _ = try? await database.query("DELETE FROM idempotency_hold WHERE holder = \(id)") }
}

extension Problem {
  /// 409 for a key that another request has.
  static let stillRunning = Problem(
    409, "The first request with this Idempotency-Key is still running.", headers: [("Retry-After", "1")])
}
