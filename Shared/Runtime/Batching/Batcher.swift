import Loop
import Postgres

/// Makes one batch of what arrives while the one before is under way, by the policy of `Gathering`: nothing waits when
/// nothing else is going on, and under load the batches grow by themselves.
public actor Batcher<Input: Sendable, Output: Sendable> {
  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private nonisolated let loop: EventLoop
  private let maximum: Int
  private let weight: @Sendable (Input) -> Int
  private let maximumWeight: Int
  private let process: @Sendable ([Input]) async throws -> [Output]
  private typealias Waiting = (input: Input, continuation: UnsafeContinuation<Output, any Error>)
  private var waiting: [Waiting] = []
  /// How many inputs are in no batch yet.
  var queued: Int { waiting.count }
  private var isRunning = false
  private var gathering: Gathering

  /// - Parameters:
  ///   - maximum: the most inputs of one batch.
  ///   - weight: what an input weighs, such as its bytes.
  ///   - maximumWeight: of one batch; one input alone may weigh more.
  ///   - bound: the most by which gathering may delay an input, in a crowd.
  ///   - process: gives one output for each input, in their order, or throws and has done nothing. What the database
  ///     refuses goes to those inputs only that it refuses alone, too: it is tried in halves.
  public init(
    _ loop: EventLoop, maximum: Int, weight: @escaping @Sendable (Input) -> Int = { _ in 0 },
    maximumWeight: Int = .max, atMost bound: Duration = .milliseconds(2),
    process: @escaping @Sendable ([Input]) async throws -> [Output]
  ) {
    self.loop = loop
    self.maximum = maximum
    (self.weight, self.maximumWeight) = (weight, maximumWeight)
    self.process = process
    gathering = Gathering(loop, atMost: bound)
  }

  /// Hands one input in and waits for its output. A cancelled caller still waits: its input is under way.
  public func submit(_ input: Input) async throws -> Output {
    try await withUnsafeThrowingContinuation { continuation in
      waiting.append((input, continuation))
      if !isRunning {
        isRunning = true
        loop.task { await self.run() }
      }
    }
  }

  private func run() async {
    while !waiting.isEmpty {
      await loop.endOfTurn(notBefore: gathering.next)
      gathering.began()
      await settle(next()[...])
    }
    isRunning = false
  }

  /// Takes the next batch from those that wait: mostly all of them.
  private func next() -> [Waiting] {
    var (count, left) = (0, maximumWeight)
    while count < min(waiting.count, maximum) {
      left -= weight(waiting[count].input)
      if left < 0, count > 0 { break }
      count += 1
    }
    guard count < waiting.count else {
      defer { waiting = [] }
      return waiting
    }
    defer { waiting.removeFirst(count) }
    return Array(waiting.prefix(count))
  }

  /// One bad input among 500 costs some 17 tries more, and the others nothing else.
  private func settle(_ batch: ArraySlice<Waiting>) async {
    do {
      let outputs = try await process(batch.map { $0.input })
      for (entry, output) in zip(batch, outputs) { entry.continuation.resume(returning: output) }
      for entry in batch.dropFirst(outputs.count) { entry.continuation.resume(throwing: MissingOutput()) }
    } catch let error as PostgresError where error.isRefusal && batch.count > 1 {
      let middle = batch.startIndex + batch.count / 2
      await settle(batch[..<middle])
      await settle(batch[middle...])
    } catch {
      for entry in batch { entry.continuation.resume(throwing: error) }
    }
  }
}

extension PostgresError {
  /// The server has refused the statement as it is: nothing was done, and the same again would be refused again.
  fileprivate var isRefusal: Bool { if case .server = kind { !isRetryable } else { false } }
}

/// A batch gave fewer outputs than it had inputs: a fault of ours.
struct MissingOutput: Error {}
