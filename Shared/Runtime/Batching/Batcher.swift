import Loop

/// Makes one batch of what arrives while the one before is under way, at the pace of `Pace`: nothing waits when
/// nothing else is going on, and under load the batches grow by themselves.
public actor Batcher<Input: Sendable, Output: Sendable> {
  private let loop: EventLoop
  private let maximum: Int
  private let process: @Sendable ([Input]) async throws -> [Output]
  private var waiting: [(input: Input, continuation: CheckedContinuation<Output, any Error>)] = []
  private var running = false
  private var pace = Pace()

  /// - Parameters:
  ///   - maximum: the most inputs of one batch.
  ///   - process: gives one output for each input, in their order; an error goes to every input of the batch.
  public init(
    _ loop: EventLoop, maximum: Int, process: @escaping @Sendable ([Input]) async throws -> [Output]
  ) {
    self.loop = loop
    self.maximum = maximum
    self.process = process
  }

  /// Hands one input in and waits for its output. A cancelled caller still waits: its input is under way.
  public func submit(_ input: Input) async throws -> Output {
    try await withCheckedThrowingContinuation { continuation in
      waiting.append((input, continuation))
      if !running {
        running = true
        loop.task { await self.run() }
      }
    }
  }

  private func run() async {
    while !waiting.isEmpty {
      try? await pace.wait(on: loop)
      let batch = Array(waiting.prefix(maximum))
      waiting.removeFirst(batch.count)
      pace.began(batch.count, at: .now)
      do {
        let outputs = try await process(batch.map(\.input))
        for (entry, output) in zip(batch, outputs) { entry.continuation.resume(returning: output) }
        for entry in batch.dropFirst(outputs.count) { entry.continuation.resume(throwing: MissingOutput()) }
      } catch {
        for entry in batch { entry.continuation.resume(throwing: error) }
      }
    }
    running = false
  }
}

/// A batch gave fewer outputs than it had inputs: a fault of ours.
struct MissingOutput: Error {}
