import Synchronization

/// A wake-up that coalesces: any number of signals while nobody waits wake the next wait once.
public final class Wakeup: Sendable {
  private struct State {
    var pending = false
    var waiter: CheckedContinuation<Void, Never>?
  }
  private let state = Mutex(State())

  public init() {}

  /// Wakes the waiter, or the next one.
  public func signal() {
    state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard let waiter = state.waiter else {
        state.pending = true
        return nil
      }
      state.waiter = nil
      return waiter
    }?.resume()
  }

  /// Waits for a signal, until the time is up or the task is cancelled. One waiter at a time.
  public func wait(atMost limit: Duration) async {
    let timer = Task {
      try await Task.sleep(for: limit)
      self.signal()
    }
    defer { timer.cancel() }
    await wait()
  }

  /// Waits for a signal, or until the task is cancelled. One waiter at a time.
  public func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let resumeNow = state.withLock { state in
          if state.pending || Task.isCancelled {
            state.pending = false
            return true
          }
          state.waiter = continuation
          return false
        }
        if resumeNow { continuation.resume() }
      }
    } onCancel: {
      signal()
    }
  }
}
