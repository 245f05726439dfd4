/// How a wait ended.
public enum WaitOutcome: Sendable { case ready, timedOut, cancelled }

extension EventLoop {
  /// Waits until the descriptor is ready, the deadline passes, or the task is cancelled (unless `cancellable` is false);
  /// from any thread. Between two waits the descriptor is not watched, so that it may be closed without a word.
  public func ready(
    _ descriptor: Int32, for interest: Interest, until deadline: ContinuousClock.Instant?,
    cancellable: Bool = true
  ) async -> WaitOutcome {
    let wait = DescriptorWait(self)
    return await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        execute { wait.begin(descriptor, interest, deadline, continuation) }
      }
    } onCancel: {
      if cancellable { execute { wait.cancelled() } }
    }
  }
}

/// One wait for a descriptor.
///
/// `@unchecked Sendable`: everything but `init` is called on the loop, which `watch` and `schedule` assert.
private final class DescriptorWait: @unchecked Sendable {
  private let loop: EventLoop
  private var waiter: UnsafeContinuation<WaitOutcome, Never>?
  private var source: LoopSource?
  private var timer: LoopTimer?
  private var isCancelled = false

  init(_ loop: EventLoop) { self.loop = loop }

  func begin(
    _ descriptor: Int32, _ interest: Interest, _ deadline: ContinuousClock.Instant?,
    _ continuation: UnsafeContinuation<WaitOutcome, Never>
  ) {
    // A cancel may have come first.
    guard !isCancelled else { return continuation.resume(returning: .cancelled) }
    waiter = continuation
    source = loop.watch(descriptor, interest) { [self] _ in end(.ready) }
    timer = deadline.map { loop.schedule(at: $0) { [self] in end(.timedOut) } }
  }

  func cancelled() {
    isCancelled = true
    end(.cancelled)
  }

  private func end(_ outcome: WaitOutcome) {
    guard let waiter = waiter.take() else { return }
    source.map(loop.cancel)
    timer.map(loop.cancel)
    waiter.resume(returning: outcome)
  }
}
