/// A wait with an end.
enum Bounded {
  /// What `body` gives, or nil after `limit`; then it is left to itself. Waits in a cancelled task too: it is for
  /// finishing.
  static func run<T: Sendable>(_ limit: Duration, _ body: @escaping @Sendable () async -> T) async -> T? {
    let (results, give) = AsyncStream.makeStream(of: T?.self, bufferingPolicy: .bufferingOldest(1))
    let work = Task { give.yield(await body()) }
    let timer = Task {
      try? await Task.sleep(for: limit)
      give.yield(nil)
    }
    defer {
      work.cancel()
      timer.cancel()
    }
    return await Task {
      for await result in results { return result }
      return nil
    }.value
  }
}
