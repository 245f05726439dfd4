import HTTP
import Postgres
import Wire

/// One create, which is done once however often its request comes, if the request has an `Idempotency-Key`.
public struct Once<Answer: Sendable>: Sendable {
  let key: IdempotencyKey?
  let seal: AnswerSeal
  let settled: @Sendable () async -> Void
  let respond: @Sendable (Answer) throws -> HTTPResponse

  /// An answer may nest a body's value deeper than the body did.
  private static var depth: Int { JSON.defaultDepth + 8 }

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
      throw Problem.stillRunning
    }
    if let row = results[1].first { throw try earlier(row, key) }
  }

  /// Last in the transaction of the create: what is answered will be answered again.
  public func keep(_ answer: Answer, on connection: PostgresConnection) async throws {
    guard let key else { return }
    let response = try respond(answer)
    guard case .bytes(let bytes) = response.body else { return }
    let body = try seal.close(try JSON(parsing: bytes, maximumDepth: Self.depth))
    try await connection.enqueue([Idempotency.keep(key, response, body: body)])
  }

  /// What a key's first request came to, for one that carries the same key.
  func earlier(_ row: PostgresRow, _ key: IdempotencyKey) throws -> any Error {
    let (request, status, headers, body) = try row.decode(([UInt8], Int32, PostgresJSON, [UInt8]).self)
    guard request == key.request else {
      return Problem(422, "This Idempotency-Key was used with another path or body.")
    }
    var response = HTTPResponse.json(
      try seal.open(JSON(parsing: body, maximumDepth: Self.depth)), status: Int(status))
    for member in try JSON(parsing: headers.bytes).object?.members ?? [] {
      response.headers[member.name] = member.value.string
    }
    return EarlierAnswer(response: response, settled: settled)
  }
}
