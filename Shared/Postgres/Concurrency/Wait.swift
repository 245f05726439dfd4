import Loop
import Threads

/// One wait that ends exactly once, by whoever comes first.
///
/// The value may come before anybody waits (a callback that fires early, a cancel before the registration) or
/// after: both are ordinary cases of the state below.
final class Wait<Value: Sendable>: Sendable {
  private enum State {
    /// Nobody waits and nothing has come. Can transition to waiting, resolved.
    case fresh
    /// Somebody waits. Can transition to finished.
    case waiting(CheckedContinuation<Value, Never>)
    /// The value has come and nobody has asked for it yet. Can transition to finished.
    case resolved(Value)
    /// The value was handed over.
    case finished
  }

  private let state = Locked(State.fresh)

  /// Ends the wait; false if it had ended before, and then `value` is of no effect.
  @discardableResult
  func resolve(_ value: Value) -> Bool {
    let (isFirst, waiter): (Bool, CheckedContinuation<Value, Never>?) = state.withLock { state in
      switch state {
      case .fresh:
        state = .resolved(value)
        return (true, nil)
      case .waiting(let continuation):
        state = .finished
        return (true, continuation)
      case .resolved, .finished:
        return (false, nil)
      }
    }
    waiter?.resume(returning: value)
    return isFirst
  }

  /// The value, as soon as it is there. To be awaited by one task, once.
  func value() async -> Value {
    await withCheckedContinuation { continuation in
      let early: Value? = state.withLock { state in
        guard case .resolved(let value) = state else {
          state = .waiting(continuation)
          return nil
        }
        state = .finished
        return value
      }
      if let early { continuation.resume(returning: early) }
    }
  }
}

extension Wait where Value == WaitOutcome {
  /// The outcome, at the deadline at the latest; a cancelled task ends it unless `cancellable` is false.
  func outcome(
    on loop: EventLoop, until deadline: ContinuousClock.Instant?, cancellable: Bool = true
  ) async -> WaitOutcome {
    if let deadline { loop.execute { loop.schedule(at: deadline) { self.resolve(.timedOut) } } }
    guard cancellable else { return await value() }
    return await withTaskCancellationHandler {
      await value()
    } onCancel: {
      resolve(.cancelled)
    }
  }
}
