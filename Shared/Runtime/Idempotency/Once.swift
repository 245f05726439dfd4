import HTTP
import Postgres
import Wire

/// One create, which is done once however often its request comes, if the request has an `Idempotency-Key`.
public struct Once<Answer: Sendable>: Sendable {
  let key: IdempotencyKey?
  let seal: AnswerSeal
  let respond: @Sendable (Answer) throws -> HTTPResponse

  /// Whether the create needs a transaction for it.
  public var isKeyed: Bool { key != nil }

  /// The answer of what was created.
  public func response(_ answer: Answer) throws -> HTTPResponse { try respond(answer) }

  /// First in the transaction of the create.
  /// - Throws: 409 while another one runs; 422 and the first answer as `Idempotency.once`.
  public func begin(on connection: PostgresConnection) async throws {
    guard let key else { return }
    // Each statement sees what was committed before it: whoever held the lock before has left its answer.
    let results = try await connection.pipeline([Idempotency.lock(key), Idempotency.find(key)])
    guard try results[0].first?.decode(Bool.self) == true else {
      throw Problem(
        409, "The first request with this Idempotency-Key is still running.", headers: [("Retry-After", "1")])
    }
    if let row = results[1].first { throw try Idempotency.earlier(row, key, seal) }
  }

  /// Last in the transaction of the create: what is answered will be answered again.
  public func keep(_ answer: Answer, on connection: PostgresConnection) async throws {
    guard let key else { return }
    let response = try respond(answer)
    guard case .bytes(let bytes) = response.body else { return }
    let body = try seal.close(try JSON(parsing: bytes, maximumDepth: JSON.defaultDepth + 8))
    try await connection.enqueue([Idempotency.keep(key, response, body: body)])
  }
}
