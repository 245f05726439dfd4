import Loop

/// A wait with an end.
enum Bounded {
  /// What `body` gives, or nil after `limit`; then it is left to itself. Waits in a cancelled task too: it is for
  /// finishing.
  static func run<T: Sendable>(
    _ loop: EventLoop, _ limit: Duration, _ body: @escaping @Sendable () async -> T
  ) async -> T? {
    let (results, give) = AsyncStream.makeStream(of: T?.self, bufferingPolicy: .bufferingOldest(1))
    let work = loop.task { give.yield(await body()) }
    let timer = loop.task {
      try? await loop.sleep(for: limit)
      give.yield(nil)
    }
    defer {
      work.cancel()
      timer.cancel()
    }
    return await loop.task {
      for await result in results { return result }
      return nil
    }.value
  }
}
