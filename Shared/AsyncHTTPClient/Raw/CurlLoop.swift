import CCurl
import Glibc
import Observability
import Threads

/// The client's thread as seen by others: they put transfers into its inbox and wake it.
final class CurlLoop: Sendable {
  struct Inbox {
    var added: [Transfer] = []
    var dropped: [Transfer] = []
    var stops = false
    var hasWork: Bool { stops || !added.isEmpty || !dropped.isEmpty }
  }

  private struct State {
    var inbox = Inbox()
    var isStopping = false
    var hasEnded = false
    var waitingForEnd: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Locked(State())
  private let bell = Bell()

  init(_ configuration: HTTPClientConfiguration, _ logger: Logger) {
    let started = OwnThread.start("curl") { [self] in
      if let runner = CurlRunner(configuration, bell: bell) {
        runner.run(takeInbox: takeInbox)
      } else {
        logger.error("the HTTP client cannot run: libcurl did not start")
      }
      end()
    }
    if !started { end() }
  }

  func submit(_ transfer: Transfer) {
    let accepted = change { state in
      if !state.isStopping { state.inbox.added.append(transfer) }
      return !state.isStopping
    }
    if !accepted { transfer.finish(.failure(HTTPClientError.clientShutDown)) }
  }

  func drop(_ transfer: Transfer) { change { $0.inbox.dropped.append(transfer) } }

  func stop() {
    change { state in
      (state.isStopping, state.inbox.stops) = (true, true)
    }
  }

  /// Comes back when the thread has ended.
  func ended() async {
    await withCheckedContinuation { continuation in
      let now = state.withLock { state in
        if !state.hasEnded { state.waitingForEnd.append(continuation) }
        return state.hasEnded
      }
      if now { continuation.resume() }
    }
  }

  /// The bell is rung only for the first thing in an empty inbox: the thread takes all of it at a time.
  @discardableResult
  private func change<T: Sendable>(_ body: (inout State) -> T) -> T {
    let (result, rings) = state.withLock { state in
      let hadWork = state.inbox.hasWork
      let result = body(&state)
      return (result, !hadWork && state.inbox.hasWork)
    }
    if rings { bell.ring() }
    return result
  }

  private func takeInbox() -> Inbox {
    state.withLock { state in
      defer { state.inbox = Inbox() }
      return state.inbox
    }
  }

  private func end() {
    let (left, waiting) = state.withLock { state in
      defer { (state.inbox, state.waitingForEnd) = (Inbox(), []) }
      (state.isStopping, state.hasEnded) = (true, true)
      return (state.inbox.added, state.waitingForEnd)
    }
    for transfer in left { transfer.finish(.failure(HTTPClientError.clientShutDown)) }
    for continuation in waiting { continuation.resume() }
  }
}
