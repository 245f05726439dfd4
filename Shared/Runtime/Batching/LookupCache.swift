import Loop

/// Looks values up and keeps what it found for a short while; what was not found is asked for again at once,
/// since it may just have been made. Callers of one key share one look-up.
public actor LookupCache<Key: Hashable & Sendable, Value: Sendable> {
  private struct Question {
    let start: ContinuousClock.Instant
    let task: Task<Value?, any Error>
  }

  private struct Entry {
    let value: Value
    let until: ContinuousClock.Instant
  }

  private let loop: EventLoop
  private let time: Duration
  private let maximum: Int
  private let find: @Sendable (Key) async throws -> Value?
  private var entries: [Key: Entry] = [:]
  private var asking: [Key: Question] = [:]

  /// - Parameters:
  ///   - time: for how long a value is believed: the most by which it can be out of date.
  ///   - maximum: how many are kept; beyond it all are forgotten.
  public init(
    _ loop: EventLoop, for time: Duration, maximum: Int = 10_000,
    find: @escaping @Sendable (Key) async throws -> Value?
  ) {
    self.loop = loop
    self.time = time
    self.maximum = maximum
    self.find = find
  }

  /// The value of that key, at most `time` old.
  public func value(_ key: Key) async throws -> Value? {
    let start = ContinuousClock.now
    if let entry = entries[key], entry.until > start { return entry.value }
    let question =
      asking[key] ?? Question(start: start, task: loop.task(throwing: { [find] in try await find(key) }))
    asking[key] = question
    defer { if asking[key]?.start == question.start { asking[key] = nil } }
    guard let value = try await question.task.value else {
      entries[key] = nil
      return nil
    }
    if entries.count >= maximum { entries.removeAll() }
    entries[key] = Entry(value: value, until: question.start + time)
    return value
  }
}
