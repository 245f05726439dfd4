import FoundationEssentials
import HTTP
import Postgres
import Wire

/// `Idempotency-Key` (SPEC, section 1): the same request again gets the first answer again.
///
/// The answer is stored in the transaction of what is created, so that there is the one with the other or neither, on all
/// replicas and after restarts. While it runs, the key is held by an advisory lock of that transaction: nothing is left
/// behind by a request that is refused, or by a process that is killed.
public struct Idempotency: Sendable {
  let database: PostgresClient
  private let settled: @Sendable () async -> Void

  /// - Parameter settled: what a first answer had to wait for, and so has one that is given again: its process may have been
  ///   killed before that was there.
  public init(database: PostgresClient, settled: @escaping @Sendable () async -> Void = {}) {
    (self.database, self.settled) = (database, settled)
  }

  /// What a POST that creates begins with. Without the header it asks nobody anything.
  /// - Parameters:
  ///   - isJSON: false for a body that is compared byte by byte.
  ///   - respond: makes the answer of what was created.
  /// - Throws: 400 for a bad key; 422 if another request had it; the first answer, if this one had it, for `API`.
  public func once<Answer: Sendable>(
    _ request: HTTPRequest, _ context: RequestContext, sealedBy seal: AnswerSeal = .none, isJSON: Bool = true,
    _ respond: @escaping @Sendable (Answer) throws -> HTTPResponse
  ) async throws -> Once<Answer> {
    guard let key = try IdempotencyKey(request, context, isJSON: isJSON) else {
      return Once(key: nil, seal: seal, settled: settled, respond: respond)
    }
    let once = Once(key: key, seal: seal, settled: settled, respond: respond)
    if let row = try await database.query(Self.find(key)).first { throw try once.earlier(row, key) }
    return once
  }

  /// For how long a key is kept.
  static let hours = 24

  static func find(_ key: IdempotencyKey) -> PostgresQuery {
    """
    SELECT request, status, headers, body FROM idempotency_key
    WHERE organisation_id = \(key.organisation) AND key = \(key.text)
      AND created_at > now() - interval '\(unescaped: "\(hours)") h'
    """
  }

  /// Taken until the transaction ends; advisory locks are the database's, so the schema is mixed in.
  static func lock(_ key: IdempotencyKey) -> PostgresQuery {
    """
    SELECT pg_try_advisory_xact_lock(hashtextextended(
      'martlet.idempotency ' || current_schema() || ' ' || \(key.organisation.text) || ' ' || \(key.text), 0))
    """
  }

  static func keep(_ key: IdempotencyKey, _ answer: HTTPResponse, body: JSON) -> PostgresQuery {
    let headers = answer.headers.reduce(into: JSONObject()) { $0[$1.name] = .string($1.value) }
    return """
      INSERT INTO idempotency_key (organisation_id, key, request, status, headers, body)
      VALUES (\(key.organisation), \(key.text), \(key.request), \(Int32(answer.status)),
        \(PostgresJSON(bytes: JSON.object(headers).bytes)), \(body.bytes))
      ON CONFLICT (organisation_id, key) DO UPDATE SET (request, status, headers, body, created_at)
        = (EXCLUDED.request, EXCLUDED.status, EXCLUDED.headers, EXCLUDED.body, now())
      """
  }
}

/// The first answer to a request that came again: thrown, since nothing more is to be done, and answered by `API`.
struct EarlierAnswer: Error {
  let response: HTTPResponse
  /// To be waited for before it is answered, outside of any transaction.
  let settled: @Sendable () async -> Void
}

/// How an answer is written down that holds what must not be stored, such as a new API key.
public struct AnswerSeal: Sendable {
  let close: @Sendable (JSON) throws -> JSON
  let open: @Sendable (JSON) throws -> JSON

  /// - Parameters:
  ///   - close: gives what may be stored.
  ///   - open: gives the answer again, from that.
  public init(
    close: @escaping @Sendable (JSON) throws -> JSON, open: @escaping @Sendable (JSON) throws -> JSON
  ) {
    (self.close, self.open) = (close, open)
  }

  /// As it is.
  public static let none = AnswerSeal(close: { $0 }, open: { $0 })
}
