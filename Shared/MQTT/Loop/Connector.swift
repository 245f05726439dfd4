import Threads

/// A thread for what connecting may block in: name servers, certificate files, and TLS handshakes with several
/// addresses. It is started when first needed; loopback addresses without TLS never need it.
final class Connector: Sendable {
  private struct State {
    var work: [@Sendable () -> Void] = []
    var isRunning = false
    var hasStopped = false
  }

  private let state = Locked(State())

  /// Runs `work` on the thread, after what was given before.
  func submit(_ work: @escaping @Sendable () -> Void) {
    let mustStart = state.withLock { state in
      if state.hasStopped { return false }
      state.work.append(work)
      defer { state.isRunning = true }
      return !state.isRunning
    }
    guard mustStart else { return }
    guard let thread = OwnThread("mqtt-connect", { [self] in run() }) else {
      // No thread to be had: the work is dropped and the session's own connect timeout tries again.
      return state.withLock { state in
        state.work.removeAll()
        state.isRunning = false
      }
    }
    thread.detach()
  }

  /// Drops what has not begun. What has begun ends on its own and finds its session gone.
  func stop() {
    state.withLock { state in
      state.hasStopped = true
      state.work.removeAll()
    }
  }

  /// Ends when there is nothing left to do; the next `submit` starts a new thread.
  private func run() {
    while true {
      let next: (@Sendable () -> Void)? = state.withLock { state in
        if state.work.isEmpty {
          state.isRunning = false
          return nil
        }
        return state.work.removeFirst()
      }
      guard let next else { return }
      next()
    }
  }
}
