import Loop

/// Makes one batch of what arrives while the one before is under way, by the policy of `Gathering`: nothing waits when
/// nothing else is going on, and under load the batches grow by themselves.
public actor Batcher<Input: Sendable, Output: Sendable> {
  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private nonisolated let loop: EventLoop
  private let maximum: Int
  private let process: @Sendable ([Input]) async throws -> [Output]
  private var waiting: [(input: Input, continuation: UnsafeContinuation<Output, any Error>)] = []
  private var isRunning = false
  private var gathering: Gathering

  /// - Parameters:
  ///   - maximum: the most inputs of one batch.
  ///   - bound: the most by which gathering may delay an input, in a crowd.
  ///   - process: gives one output for each input, in their order; an error goes to every input of the batch.
  public init(
    _ loop: EventLoop, maximum: Int, atMost bound: Duration = .milliseconds(2),
    process: @escaping @Sendable ([Input]) async throws -> [Output]
  ) {
    self.loop = loop
    self.maximum = maximum
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
      let batch = Array(waiting.prefix(maximum))
      waiting.removeFirst(batch.count)
      do {
        let outputs = try await process(batch.map { $0.input })
        for (entry, output) in zip(batch, outputs) { entry.continuation.resume(returning: output) }
        for entry in batch.dropFirst(outputs.count) { entry.continuation.resume(throwing: MissingOutput()) }
      } catch {
        for entry in batch { entry.continuation.resume(throwing: error) }
      }
    }
    isRunning = false
  }
}

/// A batch gave fewer outputs than it had inputs: a fault of ours.
struct MissingOutput: Error {}
