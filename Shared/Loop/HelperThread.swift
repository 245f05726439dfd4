import Glibc
import Threads

/// The one thread of a loop for calls that block in C. It begins with the first.
final class HelperThread: Sendable {
  private struct State {
    var waiting: [@Sendable () -> Void] = []
    var isRunning = false
  }

  private let state = Locked(State())

  /// Calls it on the thread, after those that came before. Right here, where the system has no room for a thread.
  func call(_ body: @escaping @Sendable () -> Void) {
    let mustStart = state.withLock { state in
      state.waiting.append(body)
      defer { state.isRunning = true }
      return !state.isRunning
    }
    guard mustStart, !OwnThread.start("blocking", { self.work() }) else { return }
    work()
  }

  /// It ends when there is nothing to do: blocking calls are rare, and an idle thread is one too many.
  private func work() {
    while let body = next() { body() }
  }

  private func next() -> (@Sendable () -> Void)? {
    state.withLock { state in
      if state.waiting.isEmpty { state.isRunning = false }
      return state.waiting.isEmpty ? nil : state.waiting.removeFirst()
    }
  }
}

extension EventLoop {
  /// Runs what blocks (a name's look-up, the destruction of a library's handle, a file) on the loop's helper thread,
  /// one after the other, and comes back when it has ended. Bound it: others wait behind it.
  public func blocking<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withUnsafeThrowingContinuation { continuation in
      helper.call { continuation.resume(with: Result(catching: body)) }
    }
  }

  /// The same for what cannot fail.
  public func blocking<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
    await withUnsafeContinuation { continuation in
      helper.call { continuation.resume(returning: body()) }
    }
  }
}
