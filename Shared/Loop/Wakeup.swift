import Threads

/// A wake-up that coalesces: any number of signals while nobody waits wake the next wait once. From any thread.
public final class Wakeup: Sendable {
  private struct State {
    var isPending = false
    var waiter: UnsafeContinuation<Void, Never>?
    /// Which wait it is: a timer of an earlier one wakes nobody.
    var round = 0
    /// The wait whose time was up before it began, on another thread.
    var expired = 0
  }

  private let loop: EventLoop
  private let state = Locked(State())

  /// - Parameter loop: keeps the times of timed waits.
  public init(_ loop: EventLoop) { self.loop = loop }

  /// Wakes the waiter, or the next one.
  public func signal() {
    state.withLock { state in
      if state.waiter == nil { state.isPending = true }
      return state.waiter.take()
    }?.resume()
  }

  /// Waits for a signal, or until the task is cancelled. One waiter at a time.
  public func wait() async {
    await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let isOver = state.withLock { state in
          state.round += 1
          precondition(state.waiter == nil, "one waiter at a time")
          if state.isPending || state.expired == state.round || Task.isCancelled {
            state.isPending = false
            return true
          }
          state.waiter = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiter.take() }?.resume()
    }
  }

  /// Waits for a signal, until the time is up or the task is cancelled. One waiter at a time.
  public func wait(atMost limit: Duration) async { await wait(until: .now + limit) }

  /// The same, until the next tick of that length (`EventLoop.tick`).
  public func wait(untilTickOf length: Duration) async { await wait(until: loop.tick(each: length)) }

  /// The same until then.
  public func wait(until time: ContinuousClock.Instant) async {
    let round = state.withLock { $0.round + 1 }
    let timer = Locked<LoopTimer?>(nil)
    loop.execute { [self] in
      let new = loop.schedule(at: time) { self.timeIsUp(round) }
      timer.withLock { $0 = new }
    }
    await wait()
    loop.execute { [loop] in timer.withLock { $0.take() }.map(loop.cancel) }
  }

  private func timeIsUp(_ round: Int) {
    state.withLock { state in
      if state.round < round { state.expired = round }
      return state.round == round ? state.waiter.take() : nil
    }?.resume()
  }
}
