import CPQ
import Glibc
import Threads

/// Tells tasks when a socket is ready or a deadline has passed: one epoll and one thread for the whole process.
///
/// Each wait is a one-shot registration with a number of its own, which epoll hands back with the event: an
/// event of an ended wait, or of a descriptor that was closed and given out again, finds no such number and is
/// dropped.
final class Poller: Sendable {
  /// The process's poller.
  static let shared = Poller()

  /// What a socket is waited for.
  struct Interest: OptionSet, Sendable {
    let rawValue: UInt32
    static let reading = Interest(rawValue: EPOLLIN.rawValue | EPOLLRDHUP.rawValue)
    static let writing = Interest(rawValue: EPOLLOUT.rawValue)
  }

  /// How a wait ended.
  enum Outcome: Sendable { case ready, timedOut, cancelled }

  private struct Registration {
    let wait: Wait<Outcome>
    let deadline: ContinuousClock.Instant?
  }

  private struct State {
    var waits: [UInt64: Registration] = [:]
    var lastNumber: UInt64 = 0
    /// Not later than the first deadline; the thread sleeps at most until then. Ended waits leave it as it is,
    /// so that the ordinary wait with its far deadline never has to wake the thread.
    var nearest: ContinuousClock.Instant?
  }

  private let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
  private let bell = Bell()
  private let state = Locked(State())

  private init() {
    // Number 0 is the bell's; it is level-triggered and emptied by the thread.
    arm(bell.descriptor, .reading, number: 0, oneShot: false)
    _ = OwnThread.start("pg-poller") { [self] in
      while true { turn() }
    }
  }

  /// Waits until `socket` is ready, the deadline passes, or the task is cancelled (unless `cancellable` is
  /// false).
  func wait(
    _ socket: Int32, for interest: Interest, until deadline: ContinuousClock.Instant?,
    cancellable: Bool = true,
    isolation: isolated (any Actor)? = #isolation
  ) async -> Outcome {
    let wait = Wait<Outcome>()
    let number = register(wait, deadline)
    // A descriptor epoll does not take is reported as ready: the caller's next read says what is wrong.
    if !arm(socket, interest, number: number, oneShot: true) { finish(number, .ready) }
    return await outcome(wait, number, cancellable)
  }

  /// Waits until `done` is resolved, the deadline passes, or the task is cancelled (unless `cancellable` is
  /// false).
  func wait(
    on done: Wait<Outcome>, until deadline: ContinuousClock.Instant?, cancellable: Bool = true,
    isolation: isolated (any Actor)? = #isolation
  ) async -> Outcome {
    await outcome(done, register(done, deadline), cancellable)
  }

  private func outcome(
    _ wait: Wait<Outcome>, _ number: UInt64, _ cancellable: Bool,
    isolation: isolated (any Actor)? = #isolation
  ) async -> Outcome {
    defer { state.withLock { _ = $0.waits.removeValue(forKey: number) } }
    guard cancellable else { return await wait.value() }
    return await withTaskCancellationHandler {
      await wait.value()
    } onCancel: {
      wait.resolve(.cancelled)
    }
  }

  private func register(_ wait: Wait<Outcome>, _ deadline: ContinuousClock.Instant?) -> UInt64 {
    let (number, isNearer) = state.withLock { state -> (UInt64, Bool) in
      state.lastNumber += 1
      state.waits[state.lastNumber] = Registration(wait: wait, deadline: deadline)
      guard let deadline, state.nearest.map({ deadline < $0 }) ?? true else {
        return (state.lastNumber, false)
      }
      state.nearest = deadline
      return (state.lastNumber, true)
    }
    if isNearer { bell.ring() }
    return number
  }

  private func finish(_ number: UInt64, _ outcome: Outcome) {
    state.withLock { $0.waits.removeValue(forKey: number) }?.wait.resolve(outcome)
  }

  @discardableResult
  private func arm(_ socket: Int32, _ interest: Interest, number: UInt64, oneShot: Bool) -> Bool {
    var event = epoll_event()
    event.events = interest.rawValue | (oneShot ? EPOLLONESHOT.rawValue : 0)
    event.data.u64 = number
    if oneShot, epoll_ctl(epoll, EPOLL_CTL_MOD, socket, &event) == 0 { return true }
    return epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) == 0
  }

  /// One round of the thread: sleep, then end the waits whose sockets are ready or whose time is over.
  private func turn() {
    withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 64) { events in
      let count = epoll_wait(epoll, events.baseAddress, 64, sleepMilliseconds())
      for index in 0..<max(0, Int(count)) {
        let number = events[index].data.u64
        if number == 0 {
          bell.silence()
        } else {
          finish(number, .ready)
        }
      }
    }
    expire()
  }

  private func sleepMilliseconds() -> Int32 {
    guard let nearest = state.withLock({ $0.nearest }) else { return -1 }
    let left = nearest - .now
    if left <= .zero { return 0 }
    // Rounded up: too early a wake would spin.
    let (seconds, attoseconds) = left.components
    return Int32(clamping: seconds.multipliedReportingOverflow(by: 1000).partialValue)
      &+ Int32(attoseconds / 1_000_000_000_000_000) &+ 1
  }

  private func expire() {
    let now = ContinuousClock.now
    let late = state.withLock { state -> [Wait<Outcome>] in
      guard let nearest = state.nearest, nearest <= now else { return [] }
      let late = state.waits.filter { $0.value.deadline.map { $0 <= now } ?? false }
      for number in late.keys { state.waits.removeValue(forKey: number) }
      state.nearest = state.waits.values.lazy.compactMap(\.deadline).min()
      return late.values.map(\.wait)
    }
    for wait in late { wait.resolve(.timedOut) }
  }
}
