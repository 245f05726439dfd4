import Loop

/// A wait with an end.
enum Bounded {
  /// What `body` gives, or nil after `limit`; then it is cancelled and left to itself. Waits in a cancelled task too: it
  /// is for finishing.
  static func run<T: Sendable>(
    _ loop: EventLoop, _ limit: Duration, _ body: @escaping @Sendable () async -> T
  ) async -> T? {
    await withUnsafeContinuation { (continuation: UnsafeContinuation<T?, Never>) in
      let waiter = LoopBound(loop, Optional(continuation))
      loop.execute {
        let work = loop.task {
          let result = await body()
          waiter.value.take()?.resume(returning: result)
        }
        loop.schedule(after: limit) {
          work.cancel()
          waiter.value.take()?.resume(returning: nil)
        }
      }
    }
  }
}
