import Observability
import Threads

/// An admin client's thread and the jobs that wait for it.
final class AdminCore: Sendable {
  private typealias Ends = CheckedContinuation<[Int32: Int64], any Error>

  private struct State {
    /// Each does its work, or with no handle fails.
    var jobs: [@Sendable (AdminHandle?) -> Void] = []
    /// Calls that share the next request for a topic's end offsets, and the longest of their timeouts.
    var ends: [String: (waiting: [Ends], timeout: Duration)] = [:]
    var isStopped = false
    var handle: AdminHandle?
  }

  /// Open when the handle is freed.
  let ended = Gate()
  private let state: Locked<State>
  private let signal = Signal()

  init(_ configuration: KafkaConfiguration, _ logger: Logger) throws {
    state = Locked(State(handle: try AdminHandle(configuration, logger)))
  }

  /// Starts the thread, which keeps the core alive until `stop`.
  func start() throws {
    try startThread("kafka-admin") {
      while self.step() {}
      self.ended.open()
    }
  }

  /// Has the thread do something, and waits for it.
  func run<T: Sendable>(_ job: @escaping @Sendable (AdminHandle) throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
      add { handle in
        continuation.resume(
          with: Result {
            guard let handle else { throw KafkaError.closed }
            return try job(handle)
          })
      }
    }
  }

  func endOffsets(_ topic: String, _ timeout: Duration) async throws -> [Int32: Int64] {
    try await withCheckedThrowingContinuation { (continuation: Ends) in
      let isFirst = state.withLock { state in
        let shared = state.ends[topic]
        state.ends[topic] = (
          (shared?.waiting ?? []) + [continuation], max(shared?.timeout ?? .zero, timeout)
        )
        return shared == nil
      }
      guard isFirst else { return }
      add { handle in
        // Who asks from here on needs a new request: this one's answer may be too old.
        let asked = self.state.withLock { $0.ends.removeValue(forKey: topic) }
        let result = Result {
          guard let handle else { throw KafkaError.closed }
          return try handle.endOffsets(topic, asked?.timeout ?? timeout)
        }
        for continuation in asked?.waiting ?? [] { continuation.resume(with: result) }
      }
    }
  }

  func stop() {
    state.withLock { $0.isStopped = true }
    signal.raise()
  }

  private func add(_ job: @escaping @Sendable (AdminHandle?) -> Void) {
    let isTaken = state.withLock { state in
      if !state.isStopped { state.jobs.append(job) }
      return !state.isStopped
    }
    if isTaken { signal.raise() } else { job(nil) }
  }

  private func step() -> Bool {
    let (jobs, handle, isStopped) = state.withLock { state in
      defer {
        state.jobs = []
        if state.isStopped { state.handle = nil }
      }
      return (state.jobs, state.isStopped ? nil : state.handle, state.isStopped)
    }
    for job in jobs { job(handle) }
    handle?.serveLog()
    if !isStopped, jobs.isEmpty { signal.wait(.seconds(5)) }
    return !isStopped
  }
}
