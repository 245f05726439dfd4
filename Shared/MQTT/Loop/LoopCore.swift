import Observability
import Threads

/// The loop behind `MQTTEventLoop`: one thread, one epoll, any number of sessions.
///
/// `@unchecked Sendable`: `shared` has its lock, `poller`'s wake-up is thread-safe, `connector` too; the rest
/// (`slots`, `timers`, the other calls of `poller`) is touched only inside `run`, so by one thread.
final class LoopCore: @unchecked Sendable {
  private struct Shared {
    /// Sessions with something in their inbox, each once.
    var dirty: [SessionCore] = []
    /// The loop looks at `dirty` again before it sleeps: nobody needs to wake it.
    var isAwake = true
    var isStopping = false
    /// Nothing is taken any more.
    var hasStopped = false
  }

  private struct Slot {
    var session: SessionCore?
    /// Grows with each session and each connection, so that events of a former socket are known as stale.
    var generation: UInt32 = 0
  }

  let logger: Logger
  let connector = Connector()
  private let poller = Poller()
  private let shared = Locked(Shared())
  private var slots: [Slot] = []
  private var freeSlots: [Int] = []
  private var timers = TimerHeap()
  private var hasStaleSocket = false

  init(logger: Logger) { self.logger = logger }

  // MARK: From any thread

  /// Has the session's inbox looked at soon; `false` when the loop has stopped. The caller makes sure that a
  /// session is not here twice.
  func schedule(_ session: SessionCore) -> Bool {
    let (taken, mustWake) = shared.withLock { shared in
      if shared.hasStopped { return (false, false) }
      shared.dirty.append(session)
      defer { shared.isAwake = true }
      return (true, !shared.isAwake)
    }
    if mustWake { poller.wakeUp.ring() }
    return taken
  }

  func stop() {
    shared.withLock { $0.isStopping = true }
    poller.wakeUp.ring()
  }

  // MARK: The loop's thread

  func run() {
    guard poller.isUsable else {
      logger.critical("no descriptor left for the MQTT loop")
      return end()
    }
    while true {
      fireTimers()
      for session in takeDirty() { session.drainInbox() }
      let timeout = timers.first.map { entry -> UInt64 in
        let now = monotonicNanoseconds()
        return entry.deadline > now ? entry.deadline - now : 0
      }
      let (stopping, busy) = shared.withLock { shared in
        shared.isAwake = !shared.dirty.isEmpty
        return (shared.isStopping, shared.isAwake)
      }
      if stopping { return end() }
      guard poller.wait(nanoseconds: busy ? 0 : timeout, handle) else {
        logger.critical("epoll failed; the MQTT loop ends")
        return end()
      }
      if hasStaleSocket { forgetStaleSockets() }
      // From here on to the next look at `dirty` nobody needs to write the eventfd.
      shared.withLock { $0.isAwake = true }
    }
  }

  private func handle(_ token: UInt64, _ readiness: Readiness) {
    if token == Poller.wakeToken { return poller.wakeUp.silence() }
    if let session = session(of: token) { return session.socketReady(readiness) }
    hasStaleSocket = true
  }

  /// A socket that was closed is still watched: a child process inherited it in the moment between its making and
  /// its close-on-exec. It can no longer be named to epoll and would wake the loop for ever, so epoll is made anew.
  private func forgetStaleSockets() {
    hasStaleSocket = false
    guard poller.reset() else { return }
    for slot in slots { slot.session?.watchAgain() }
  }

  private func session(of token: UInt64) -> SessionCore? {
    let index = Int(token & 0xFFFF_FFFF)
    guard index < slots.count, slots[index].generation == UInt32(token >> 32) else { return nil }
    return slots[index].session
  }

  private func takeDirty() -> [SessionCore] {
    shared.withLock { shared in
      defer { shared.dirty.removeAll(keepingCapacity: false) }
      return shared.dirty
    }
  }

  private func fireTimers() {
    guard timers.first != nil else { return }
    let now = monotonicNanoseconds()
    while let first = timers.first, first.deadline <= now {
      guard let entry = timers.pop() else { return }
      session(of: entry.token)?.timerEntryDue(entry.deadline, now: now)
    }
  }

  /// The last act: every session is told, and whoever waits for something gets an answer.
  private func end() {
    let sessions = shared.withLock { shared in
      shared.hasStopped = true
      defer { shared.dirty.removeAll() }
      return shared.dirty
    }
    connector.stop()
    for session in slots.compactMap(\.session) { session.loopEnded() }
    for session in sessions { session.loopEnded() }
    slots.removeAll()
  }

  // MARK: For sessions, on the loop's thread

  /// Gives a session its token.
  func register(_ session: SessionCore) -> UInt64 {
    let index: Int
    if let free = freeSlots.popLast() {
      index = free
    } else {
      index = slots.count
      slots.append(Slot())
    }
    slots[index].session = session
    slots[index].generation &+= 1
    return UInt64(slots[index].generation) << 32 | UInt64(index)
  }

  /// A new token for the same session: events of its former socket, and its former timers, are known as stale.
  func renew(_ token: UInt64) -> UInt64 {
    let index = Int(token & 0xFFFF_FFFF)
    guard session(of: token) != nil else { return token }
    slots[index].generation &+= 1
    return UInt64(slots[index].generation) << 32 | UInt64(index)
  }

  func unregister(_ token: UInt64) {
    let index = Int(token & 0xFFFF_FFFF)
    guard session(of: token) != nil else { return }
    slots[index].session = nil
    slots[index].generation &+= 1
    freeSlots.append(index)
  }

  func setTimer(_ deadline: UInt64, token: UInt64) {
    timers.push(TimerHeap.Entry(deadline: deadline, token: token))
  }

  func watch(_ descriptor: Int32, token: UInt64, writable: Bool) -> Bool {
    poller.add(descriptor, token: token, writable: writable)
  }
  func change(_ descriptor: Int32, token: UInt64, writable: Bool) {
    poller.change(descriptor, token: token, writable: writable)
  }
  func unwatch(_ descriptor: Int32) { poller.remove(descriptor) }
}
