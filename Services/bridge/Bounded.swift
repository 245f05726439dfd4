/// A wait with an end.
enum Bounded {
  /// What `body` gives, or nil after `limit`; then it is left to itself.
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
    for await result in results { return result }
    return nil
  }
}
