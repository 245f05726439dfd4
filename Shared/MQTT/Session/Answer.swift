import Loop

/// What one task waits for and the loop gives, once. Given before the wait, or cancelled before it, are ordinary cases.
class Answer<Value: Sendable> {
  private var given: Value?
  private var waiter: UnsafeContinuation<Value, Never>?
  private let cancelled: Value

  /// - Parameter cancelled: what the task gets when it is cancelled.
  init(cancelled: Value) { self.cancelled = cancelled }

  /// Gives the value; only the first one counts.
  func give(_ value: Value) {
    guard given == nil else { return }
    given = value
    waiter.take()?.resume(returning: value)
  }

  /// The task that waits is cancelled.
  func cancel() { give(cancelled) }

  fileprivate func wait(_ continuation: UnsafeContinuation<Value, Never>) {
    if let given { continuation.resume(returning: given) } else { waiter = continuation }
  }
}

extension EventLoop {
  /// Has `ask` called on the loop and waits for the answer. From any task.
  /// - Parameter ended: the answer of a loop that has ended.
  func answer<Value, Kind: Answer<Value>>(
    _ answer: sending Kind, ended: Value, _ ask: @escaping @Sendable (Kind) -> Void
  ) async -> Value {
    let answer = LoopBound(self, answer)
    return await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let isTaken = execute {
          ask(answer.value)
          answer.value.wait(continuation)
        }
        if !isTaken { continuation.resume(returning: ended) }
      }
    } onCancel: {
      execute { answer.value.cancel() }
    }
  }
}
