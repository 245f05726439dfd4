import Threads

/// Opens once; whoever waits for it waits a bounded time.
final class Gate: Sendable {
  private struct State {
    var isOpen = false
    var next = 0
    var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
  }

  private let state = Locked(State())

  /// Lets all through, now and later.
  func open() {
    let waiting = state.withLock { state in
      state.isOpen = true
      defer { state.waiting = [:] }
      return Array(state.waiting.values)
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Returns when the gate is open or `limit` is over; the caller's cancellation does not shorten it, since
  /// shutdowns run in cancelled tasks.
  func wait(_ limit: Duration) async {
    let timer = Locked<Task<Void, Never>?>(nil)
    await withCheckedContinuation { continuation in
      let id: Int? = state.withLock { state in
        guard !state.isOpen else { return nil }
        state.next += 1
        state.waiting[state.next] = continuation
        return state.next
      }
      guard let id else { return continuation.resume() }
      let task = Task {
        try? await Task.sleep(for: limit)
        state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
      }
      timer.withLock { $0 = task }
    }
    timer.withLock { $0?.cancel() }
  }
}
