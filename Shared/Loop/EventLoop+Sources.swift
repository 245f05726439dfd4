/// What a loop watches.
struct SourceTable {
  struct Source {
    let descriptor: Int32
    let handler: (Interest) -> Void
  }

  var watched: [UInt32: Source] = [:]
  /// To be called in the next turn though nothing has come: they had more than their budget.
  var again: [UInt32] = []
  /// In the order of their places, and of their numbers where these are the same.
  var flushes: [(place: FlushPlace, number: UInt32, body: () -> Void)] = []
  /// To be called at the end of this turn and not again.
  var flushesOnce: [() -> Void] = []
  var endings: [UInt32: () -> Void] = [:]
  private var last: UInt32 = 0

  mutating func number() -> UInt32 {
    last &+= 1
    return last
  }
}

/// When in the end of a turn something is flushed.
public enum FlushPlace: Comparable, Sendable {
  /// What the next step of the work waits for.
  case early
  /// What only tells of it.
  case late
}

/// A descriptor that a loop watches, or a body that it calls, until it is cancelled. To be used on the loop.
public struct LoopSource: Sendable {
  let number: UInt32
}

extension EventLoop {
  /// Calls `handler` on the loop's thread in each turn in which the descriptor is ready, with what it is ready for.
  ///
  /// It must not wait, and should stop after a bounded amount of work; `callAgain` brings it back in the next turn.
  /// - Precondition: on the loop (or before it runs); the descriptor is open, and not watched already.
  @discardableResult
  public func watch(
    _ descriptor: Int32, _ interest: Interest, _ handler: @escaping (Interest) -> Void
  ) -> LoopSource {
    assertIsolated()
    let number = sources.number()
    sources.watched[number] = .init(descriptor: descriptor, handler: handler)
    let isAdded = epoll.add(descriptor, interest, number)
    precondition(isAdded, "descriptor \(descriptor) cannot be watched: it is closed, or watched already")
    return LoopSource(number: number)
  }

  /// Waits for something else on the source's descriptor.
  public func change(_ source: LoopSource, _ interest: Interest) {
    assertIsolated()
    guard let watched = sources.watched[source.number] else { return }
    epoll.change(watched.descriptor, interest, source.number)
  }

  /// Calls the source's handler in the next turn, whatever its descriptor says.
  public func callAgain(_ source: LoopSource) {
    assertIsolated()
    sources.again.append(source.number)
  }

  /// Calls `body` at the end of each turn, when all jobs have run: for what is written once for all that has happened.
  @discardableResult
  public func flush(_ place: FlushPlace, _ body: @escaping () -> Void) -> LoopSource {
    assertIsolated()
    let number = sources.number()
    let index = sources.flushes.firstIndex { $0.place > place } ?? sources.flushes.count
    sources.flushes.insert((place, number, body), at: index)
    return LoopSource(number: number)
  }

  /// The same for this turn alone: for one of thousands that has something to write.
  public func flushOnce(_ body: @escaping () -> Void) {
    assertIsolated()
    sources.flushesOnce.append(body)
  }

  /// Calls `body` when the loop ends, for those who would else wait for ever.
  public func whenOver(_ body: @escaping () -> Void) -> LoopSource {
    assertIsolated()
    let number = sources.number()
    sources.endings[number] = body
    return LoopSource(number: number)
  }

  /// Forgets it: no handler is called from here on. Before its descriptor is closed.
  public func cancel(_ source: LoopSource) {
    assertIsolated()
    sources.flushes.removeAll { $0.number == source.number }
    sources.endings[source.number] = nil
    if let watched = sources.watched.removeValue(forKey: source.number) { epoll.remove(watched.descriptor) }
  }

  /// In debug builds: ends the program when the caller is not on the loop, and one runs.
  @inline(__always)
  func assertIsolated() { assert(isCurrent || !isRunning, "not on the loop's thread") }

  /// What flushes may have something for others to flush.
  func flushOnce() {
    var next = 0
    while next < sources.flushesOnce.count {
      let body = sources.flushesOnce[next]
      next += 1
      body()
    }
    sources.flushesOnce.removeAll(keepingCapacity: true)
  }

  /// Waits for what comes first, descriptor or timer, and calls the sources.
  func wait(mayRest: Bool) {
    let again = sources.again
    sources.again.removeAll(keepingCapacity: true)
    let count = epoll.wait(mayRest ? restNanoseconds() : 0)
    now = .now
    load.turnBegan(at: now)
    for index in 0..<count {
      let (number, events) = epoll.ready(index)
      // One that another handler of this turn has cancelled is not there any more.
      sources.watched[number]?.handler(events)
    }
    for number in again { sources.watched[number]?.handler([]) }
  }
}
