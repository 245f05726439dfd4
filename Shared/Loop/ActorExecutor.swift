/// The executor of the actors that live on a loop.
///
/// Not the loop itself: a job is run either as an actor's or as nobody's, and the runtime goes on without a new job only where
/// the next function belongs to the same. With one executor for both, each return of a nonisolated function was a job:
/// 187 for a command's life, of which these were 110.
///
/// `@unchecked Sendable`: `owner` is set once, before anyone else has the loop.
final class ActorExecutor: SerialExecutor, @unchecked Sendable {
  /// The loop, which owns this; each actor that lives on it keeps it.
  unowned var owner: EventLoop?

  private var loop: EventLoop {
    guard let owner else { preconditionFailure("an executor without its loop") }
    return owner
  }

  func enqueue(_ job: consuming ExecutorJob) {
    loop.add(EventLoop.Job(job: UnownedJob(job), isActors: true))
  }

  /// For `assumeIsolated` in callbacks of C libraries, which run outside of any task.
  func checkIsolated() { loop.checkIsolated() }
  func isIsolatingCurrentContext() -> Bool? { loop.isCurrent }
}
