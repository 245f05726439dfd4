import Loop

/// Opens once; whoever waits for it waits a bounded time. Confined to a loop.
final class Gate {
  private let loop: EventLoop
  private var isOpen = false
  private var last = 0
  private var waiting: [Int: UnsafeContinuation<Void, Never>] = [:]

  init(_ loop: EventLoop) { self.loop = loop }

  /// Lets all through, now and later.
  func open() {
    isOpen = true
    let passes = waiting.values
    waiting = [:]
    for pass in passes { pass.resume() }
  }

  /// Returns when the gate is open or `limit` is over; the caller's cancellation does not shorten it, since shutdowns
  /// run in cancelled tasks.
  func wait(atMost limit: Duration) async {
    guard !isOpen else { return }
    last += 1
    let number = last
    await withUnsafeContinuation { pass in
      waiting[number] = pass
      loop.schedule(after: limit) { self.waiting.removeValue(forKey: number)?.resume() }
    }
  }
}
