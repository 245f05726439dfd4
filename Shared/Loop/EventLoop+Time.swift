import Glibc

/// One that waits for the end of a turn.
struct TurnEnd {
  let notBefore: ContinuousClock.Instant
  let pass: UnsafeContinuation<Void, Never>
}

/// A call that a loop will make at its time.
public struct LoopTimer: Sendable {
  let number: UInt64
}

extension EventLoop {
  /// Calls `body` on the loop's thread at that time, or in the first turn after it.
  /// - Precondition: on the loop (or before it runs).
  @discardableResult
  public func schedule(at time: ContinuousClock.Instant, _ body: @escaping () -> Void) -> LoopTimer {
    assertIsolated()
    return LoopTimer(number: timers.add(time, body))
  }

  /// The same after a while.
  @discardableResult
  public func schedule(after delay: Duration, _ body: @escaping () -> Void) -> LoopTimer {
    schedule(at: .now + delay, body)
  }

  /// Forgets it, if it has not been called.
  public func cancel(_ timer: LoopTimer) {
    assertIsolated()
    timers.cancel(timer.number)
  }

  /// The first tick after `time`: those of one length are the same for all that ask, so that what is done now and then wakes
  /// the loop once.
  public func tick(after time: ContinuousClock.Instant = .now, each length: Duration)
    -> ContinuousClock.Instant
  {
    let (elapsed, length) = ((time - origin).nanoseconds, max(1, length.nanoseconds))
    return origin + .nanoseconds((elapsed / length + 1) * length)
  }

  /// Waits that long, from any task; `Task.sleep` would come back by way of Dispatch's timers.
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(for duration: Duration) async throws { try await sleep(until: .now + duration) }

  /// Waits until then, from any task.
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(until time: ContinuousClock.Instant) async throws {
    let alarm = Wakeup(self)
    await alarm.wait(until: time)
    try Task.checkCancellation()
  }

  /// The same, until the next tick of that length.
  public func sleep(untilTickOf length: Duration) async throws { try await sleep(until: tick(each: length)) }

  /// Waits until all jobs of this turn have run, or all of the first turn that is not before `time`: what has come until
  /// then makes one batch. It cannot be cancelled.
  public func endOfTurn(notBefore time: ContinuousClock.Instant? = nil) async {
    await withUnsafeContinuation { continuation in
      execute { self.ends.append(TurnEnd(notBefore: time ?? self.now, pass: continuation)) }
    }
  }

  /// How long nothing is due: -1 for ever.
  func restNanoseconds() -> Int64 {
    var next = timers.next()
    for end in ends { next = next.map { min($0, end.notBefore) } ?? end.notBefore }
    guard let next else { return -1 }
    return max(0, min((next - .now).nanoseconds, 3_600_000_000_000))
  }

  func fireTimers() {
    while let body = timers.due(at: now) { body() }
  }

  /// Lets those pass whose time has come. What one of them then waits for may be due at once, too.
  func passEnds() -> Bool {
    guard !ends.isEmpty else { return false }
    let waiting = ends
    ends.removeAll(keepingCapacity: true)
    for end in waiting {
      if end.notBefore <= now { end.pass.resume() } else { ends.append(end) }
    }
    return ends.count < waiting.count
  }

  /// In a crowd a turn begins at most once in a millisecond: what comes together is done together.
  func spaceTurns() {
    guard load.crowd > 0 else { return }
    let early = now + .milliseconds(1) * load.crowd - .now
    let (_, attoseconds) = early.components
    // The thread itself waits: nothing is to run before the turn begins.
    if early > .zero { usleep(UInt32(attoseconds / 1_000_000_000_000)) }
  }
}

extension Duration {
  /// Whole ones; what is longer than 292 years is as long as that.
  fileprivate var nanoseconds: Int64 {
    let (whole, isTooLong) = components.seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if isTooLong { return components.seconds < 0 ? .min : .max }
    let (sum, overflows) = whole.addingReportingOverflow(components.attoseconds / 1_000_000_000)
    return overflows ? .max : sum
  }
}
