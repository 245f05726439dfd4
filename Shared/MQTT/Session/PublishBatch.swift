import Threads

/// Messages that one task publishes together, with one continuation for all their acknowledgements.
final class PublishBatch: Sendable {
  typealias Outcome = Result<MQTTPublishResult, MQTTError>

  let messages: [MQTTMessage]
  private let state: Locked<State>

  private struct State {
    var outcomes: [Outcome?]
    var missing: Int
    var continuation: CheckedContinuation<[Outcome], Never>?

    /// What to resume, once nothing is missing.
    mutating func finished() -> (CheckedContinuation<[Outcome], Never>, [Outcome])? {
      guard missing == 0, let continuation else { return nil }
      self.continuation = nil
      return (continuation, outcomes.map { $0 ?? .failure(.connectionLost) })
    }
  }

  init(_ messages: [MQTTMessage]) {
    self.messages = messages
    state = Locked(State(outcomes: Array(repeating: nil, count: messages.count), missing: messages.count))
  }

  /// Whether that message needs no sending: it is not valid, or the task was cancelled.
  func hasOutcome(_ index: Int) -> Bool { state.withLock { $0.outcomes[index] != nil } }

  /// The outcome of one message; only the first one counts.
  func complete(_ index: Int, _ outcome: Outcome) {
    let done = state.withLock { state in
      guard state.outcomes[index] == nil else {
        return nil as (CheckedContinuation<[Outcome], Never>, [Outcome])?
      }
      state.outcomes[index] = outcome
      state.missing -= 1
      return state.finished()
    }
    if let (continuation, outcomes) = done { continuation.resume(returning: outcomes) }
  }

  /// The same failure for all that have no outcome yet.
  func fail(_ error: MQTTError) {
    let done = state.withLock { state in
      for index in state.outcomes.indices where state.outcomes[index] == nil {
        state.outcomes[index] = .failure(error)
      }
      state.missing = 0
      return state.finished()
    }
    if let (continuation, outcomes) = done { continuation.resume(returning: outcomes) }
  }

  /// Hands the batch over by `submit` and waits until every message has its outcome.
  func outcomes(submit: (PublishBatch) -> Void) async -> [Outcome] {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let done = state.withLock { state in
          state.continuation = continuation
          return state.finished()
        }
        if let (continuation, outcomes) = done { return continuation.resume(returning: outcomes) }
        submit(self)
      }
    } onCancel: {
      fail(.cancelled)
    }
  }
}
