import Glibc
import Threads

/// The threads of a loop for calls that block in C. One begins with a call that finds all others at work, and ends when
/// there is nothing to do: blocking calls are rare, and an idle thread is one too many.
final class HelperThread: Sendable {
  private struct State {
    var waiting: [@Sendable () -> Void] = []
    var working = 0
  }

  /// More than one, since a call may hang: a cancel request to a server that stands still, a name server that is away.
  private static let most = 8

  private let state = Locked(State())

  /// Calls it on a thread; right here, where the system has no room for one.
  func call(_ body: @escaping @Sendable () -> Void) {
    let mustStart = state.withLock { state in
      state.waiting.append(body)
      guard state.working < Self.most else { return false }
      state.working += 1
      return true
    }
    if mustStart, !OwnThread.start("blocking", { self.work() }) { work() }
  }

  private func work() {
    while let body = next() { body() }
  }

  private func next() -> (@Sendable () -> Void)? {
    state.withLock { state in
      guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
      state.working -= 1
      return nil
    }
  }
}

extension EventLoop {
  /// Runs what blocks (a name's look-up, the destruction of a library's handle, a file) on a helper thread, and comes back
  /// when it has ended. Bound it where that is possible: there are eight at the most.
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
