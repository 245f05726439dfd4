/// What became of one message.
typealias PublishOutcome = Result<MQTTPublishResult, MQTTError>

/// Messages that one task publishes together, with one answer for all their acknowledgements.
final class PublishBatch: Answer<[PublishOutcome]> {
  let messages: [MQTTMessage]
  private var outcomes: [PublishOutcome?]
  private var missing: Int

  init(_ messages: [MQTTMessage]) {
    self.messages = messages
    outcomes = Array(repeating: nil, count: messages.count)
    missing = messages.count
    super.init(cancelled: [])
  }

  /// Whether that message needs no sending: it is not valid, or the task was cancelled.
  func hasOutcome(_ index: Int) -> Bool { outcomes[index] != nil }

  /// The outcome of one message; only the first one counts.
  func complete(_ index: Int, _ outcome: PublishOutcome) {
    guard outcomes[index] == nil else { return }
    outcomes[index] = outcome
    missing -= 1
    if missing == 0 { give(outcomes.map { $0 ?? .failure(.connectionLost) }) }
  }

  /// The same failure for all that have no outcome yet.
  func fail(_ error: MQTTError) {
    for index in outcomes.indices { complete(index, .failure(error)) }
  }

  override func cancel() { fail(.cancelled) }
}
