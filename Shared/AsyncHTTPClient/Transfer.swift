import HTTP
import Threads

/// A request as it is handed to the loop.
struct ClientRequest: Sendable {
  let method: HTTPMethod
  let url: String
  let headers: HTTPFields
  let body: [UInt8]?
  let timeout: Duration

  var isSendable: Bool {
    HTTPFields.isToken(method.rawValue) && !url.utf8.contains(0)
      && headers.allSatisfy { HTTPFields.isToken($0.name) && HTTPFields.isValue($0.value) }
  }
}

/// One request's wait for its answer. It ends once: by the answer, a fault or a cancel, whichever comes first; a
/// cancel may come before the wait begins.
final class Transfer: Sendable {
  typealias Answer = Result<HTTPClientResponse, any Error>

  private enum State {
    case new
    case waiting(CheckedContinuation<HTTPClientResponse, any Error>)
    case ended
  }

  let request: ClientRequest
  private let state = Locked(State.new)

  init(_ request: ClientRequest) { self.request = request }

  /// False when it was cancelled before; then the continuation has been resumed.
  func begin(_ continuation: CheckedContinuation<HTTPClientResponse, any Error>) -> Bool {
    let begins = state.withLock { state in
      guard case .new = state else { return false }
      state = .waiting(continuation)
      return true
    }
    if !begins { continuation.resume(throwing: CancellationError()) }
    return begins
  }

  /// True when somebody was waiting.
  @discardableResult
  func finish(_ answer: Answer) -> Bool {
    let previous = state.withLock { state in
      defer { state = .ended }
      return state
    }
    guard case .waiting(let continuation) = previous else { return false }
    continuation.resume(with: answer)
    return true
  }

  /// Whether nobody waits any more.
  var hasEnded: Bool {
    state.withLock { state in
      if case .ended = state { true } else { false }
    }
  }
}
