import Observability
import Threads

/// What a consumer's callers and its thread share: callers leave what they want, and wake the thread.
final class ConsumerCore: Sendable {
  typealias StartOffsets = @Sendable ([KafkaPartition]) async throws -> [KafkaPartition: Int64]

  /// A call of `nextBatch` that waits for messages.
  struct Ask {
    let id: Int
    let maximum: Int
    let deadline: ContinuousClock.Instant
    let continuation: CheckedContinuation<[KafkaMessage], any Error>
  }

  /// What the thread does between polls.
  enum Command {
    case seek([KafkaPartition: Int64], CheckedContinuation<Void, any Error>)
    case commit([KafkaPartition: Int64], CheckedContinuation<Void, any Error>)

    var continuation: CheckedContinuation<Void, any Error> {
      switch self {
      case .seek(_, let continuation), .commit(_, let continuation): continuation
      }
    }
  }

  /// Where the thread is, to wake it from there.
  enum Place { case working, sleeping, polling }

  struct State {
    var lastAsk = 0
    var asks: [Ask] = []
    var commands: [Command] = []
    /// Next offsets for lag monitors that were not sent yet.
    var commits: [KafkaPartition: Int64] = [:]
    var assignment: Set<KafkaPartition> = []
    /// What `startOffsets` answered, with the number of the question.
    var answer: (question: Int, Result<[KafkaPartition: Int64], any Error>)?
    var place = Place.working
    /// `nil` from the moment that the thread closes it, and while it is being made anew.
    var handle: ConsumerHandle?
    var end: ContinuousClock.Instant?
    var isCrash = false
  }

  /// Open when the handle is freed.
  let ended = Gate()
  let state: Locked<State>
  let startOffsets: StartOffsets
  let logger: Logger
  let signal = Signal()
  private let makeHandle: @Sendable () throws -> ConsumerHandle

  init(
    _ startOffsets: @escaping StartOffsets, _ logger: Logger,
    makeHandle: @escaping @Sendable () throws -> ConsumerHandle
  ) throws {
    state = Locked(State(handle: try makeHandle()))
    self.startOffsets = startOffsets
    self.logger = logger
    self.makeHandle = makeHandle
  }

  /// Starts the thread, which keeps the core alive until `close`.
  func start() throws {
    try startThread("kafka-consumer") {
      var lastFence: ContinuousClock.Instant?
      while let thread = ConsumerThread(self, lastFence: lastFence), thread.run() == .fenced {
        lastFence = .now
        self.begin()
      }
      self.ended.open()
    }
  }

  /// Puts a new handle in the place of a fenced one; if it is closed meanwhile there is no thread to say so.
  private func begin() {
    while state.withLock({ $0.end == nil }) {
      do {
        let handle = try makeHandle()
        return state.withLock { $0.handle = handle }
      } catch {
        logger.error("no consumer could be made", ["error": "\(error)"])
        Signal().wait(.seconds(1))
      }
    }
    abandon()
  }

  /// Whoever still waits hears that it is closed.
  func abandon() {
    let (asks, commands) = state.withLock { state in
      defer { (state.asks, state.commands) = ([], []) }
      return (state.asks, state.commands)
    }
    for ask in asks { ask.continuation.resume(throwing: KafkaError.closed) }
    for command in commands { command.continuation.resume(throwing: KafkaError.closed) }
  }

  var assignment: Set<KafkaPartition> { state.withLock { $0.assignment } }

  func nextBatch(_ maximum: Int, _ wait: Duration) async throws -> [KafkaMessage] {
    let id = state.withLock { state in
      state.lastAsk += 1
      return state.lastAsk
    }
    let deadline = ContinuousClock.now + wait
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let refusal: (any Error)? = state.withLock { state in
          // Cancelled before this registration: the handler found nothing to cancel.
          if Task.isCancelled { return CancellationError() }
          if state.end != nil { return KafkaError.closed }
          state.asks.append(Ask(id: id, maximum: maximum, deadline: deadline, continuation: continuation))
          wake(&state)
          return nil
        }
        if let refusal { continuation.resume(throwing: refusal) }
      }
    } onCancel: {
      take(id)?.continuation.resume(throwing: CancellationError())
    }
  }

  /// Takes an ask away, for whoever resumes it; `nil` if another did.
  func take(_ id: Int) -> Ask? {
    state.withLock { state in
      guard let index = state.asks.firstIndex(where: { $0.id == id }) else { return nil }
      return state.asks.remove(at: index)
    }
  }

  /// Has the thread do something, and waits for it.
  func run(_ command: (CheckedContinuation<Void, any Error>) -> Command) async throws {
    try await withCheckedThrowingContinuation { continuation in
      let command = command(continuation)
      let isTaken = state.withLock { state in
        guard state.end == nil else { return false }
        state.commands.append(command)
        wake(&state)
        return true
      }
      if !isTaken { continuation.resume(throwing: KafkaError.closed) }
    }
  }

  func commit(_ next: [KafkaPartition: Int64]) {
    state.withLock { state in
      guard state.end == nil else { return }
      let isFirst = state.commits.isEmpty
      state.commits.merge(next) { $1 }
      if isFirst { wake(&state) }
    }
  }

  func answer(_ question: Int, _ result: Result<[KafkaPartition: Int64], any Error>) {
    state.withLock { state in
      // A question that was given up must not hide the answer to the one after it.
      if let answer = state.answer, answer.question > question { return }
      state.answer = (question, result)
      wake(&state)
    }
  }

  func close(within limit: Duration, isCrash: Bool = false) {
    state.withLock { state in
      guard state.end == nil else { return }
      state.end = .now + limit
      state.isCrash = isCrash
      wake(&state)
    }
  }

  /// Makes the thread look again. Under the lock, so that the handle is not closed meanwhile.
  private func wake(_ state: inout State) {
    switch state.place {
    case .working: return
    case .sleeping: signal.raise()
    case .polling: state.handle?.wake()
    }
    state.place = .working
  }
}
