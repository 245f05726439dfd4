/// For stages whose work leaves by one door: when it is quiet, what comes alone waits a moment for company, so that what
/// belongs together goes as one. (In a crowd there is company enough: `Gathering` has windows for that.)
///
/// To be used on the loop.
public final class Company: Sendable {
  private struct State {
    var pieces = 0
    var waiting: [() -> Void] = []
    var timer: LoopTimer?
  }

  private let count: Int
  private let limit: Duration
  private let state: LoopBound<State>

  /// - Parameters:
  ///   - count: so many pieces of work are company enough.
  ///   - limit: the most by which it may delay anything.
  public init(_ loop: EventLoop, of count: Int, atMost limit: Duration) {
    (self.count, self.limit) = (count, limit)
    state = LoopBound(loop, State())
  }

  /// So many pieces of work have come. Calls `go`, and all that wait, when there are enough of them or the time of the
  /// first is up; in a crowd at once.
  public func join(_ pieces: Int, _ go: @escaping () -> Void = {}) {
    state.value.pieces += pieces
    state.value.waiting.append(go)
    if state.value.pieces >= count || state.loop.load.crowd > 0 { return pass() }
    if state.value.timer == nil {
      state.value.timer = state.loop.schedule(after: limit) { [self] in pass() }
    }
  }

  /// The same for a task.
  public func join(_ pieces: Int) async {
    await withUnsafeContinuation { continuation in
      state.loop.execute { self.join(pieces) { continuation.resume() } }
    }
  }

  private func pass() {
    let waiting = state.value.waiting
    state.value.timer.map(state.loop.cancel)
    state.value = State()
    for go in waiting { go() }
  }
}
