import Observability
import Synchronization

/// Getting and losing the connection. All of it runs on the loop's thread.
extension SessionCore {
  /// A connection that lasted this long counts as a good one: the next loss begins with the shortest wait again.
  private static let settledAfter: UInt64 = 2_000_000_000

  func start() {
    guard phase == .idle else { return }
    token = loop.register(self)
    heapDeadline = nil
    attempt = 0
    lastTold = nil
    drain = nil
    beginAttempt()
  }

  private func beginAttempt() {
    phase = .connecting
    attemptNumber &+= 1
    brokerReason = nil
    setDeadline(monotonicNanoseconds() + configuration.connectTimeout.nanoseconds)
    guard let handle = Mosquitto(configuration, delegate: self) else {
      return lost(.connectFailed("no descriptor or memory left"))
    }
    if Mosquitto.opensAtOnce(configuration) {
      do throws(MQTTError) {
        try handle.open(configuration, attempt: attempt)
        adopt(handle)
      } catch { lost(.connectFailed(error.description)) }
      return
    }
    // The handle is the connector's until it posts it back: that hand-over is the only sharing.
    let boxed = OpenedHandle(.success(handle))
    loop.connector.submit { [self, configuration, attempt, attemptNumber] in
      guard case .success(let handle) = boxed.result else { return }
      do throws(MQTTError) {
        try handle.open(configuration, attempt: attempt)
        post(.opened(attempt: attemptNumber, boxed))
      } catch { post(.opened(attempt: attemptNumber, OpenedHandle(.failure(error)))) }
    }
  }

  func openedByConnector(_ number: UInt64, _ opened: OpenedHandle) {
    guard phase == .connecting, number == attemptNumber, handle == nil else { return }
    switch opened.result {
    case .success(let handle): adopt(handle)
    case .failure(let error): lost(.connectFailed(error.description))
    }
  }

  private func adopt(_ handle: Mosquitto) {
    guard let former = token, let deadline else { return }
    let token = loop.renew(former)
    self.token = token
    heapDeadline = nil
    setDeadline(deadline)
    self.handle = handle
    watched = handle.descriptor
    watchesWritable = true
    if !loop.watch(watched, token: token, writable: true) { lost(.connectFailed("epoll took no more")) }
  }

  /// The loop watches nothing any more.
  func watchAgain() {
    guard let token, let handle, handle.isOpen else { return }
    _ = loop.watch(watched, token: token, writable: watchesWritable)
  }

  /// The connection is gone or never came: everyone who waits is told, and the next attempt is set, unless the owner
  /// wanted it so.
  func lost(_ reason: MQTTDisconnectReason) {
    let now = monotonicNanoseconds()
    let wasUp = isUp.exchange(false, ordering: .releasing)
    let wasConnected = phase == .connected
    if phase == .disconnecting { return end(.requested) }
    let told = brokerReason ?? reason
    closeHandle()
    failEverything()
    if drain != nil { return end(told) }
    if wasConnected, now - connectedAt >= Self.settledAfter { attempt = 0 }
    phase = .waiting
    setDeadline(now + backoff.delay(attempt: attempt))
    attempt += 1
    tell(told, always: wasUp)
  }

  /// The owner ended it.
  func end(_ reason: MQTTDisconnectReason) {
    guard phase != .idle else { return finishLeaving() }
    let wasUp = isUp.exchange(false, ordering: .releasing)
    phase = .idle
    closeHandle()
    failEverything()
    deadline = nil
    drain = nil
    if let token { loop.unregister(token) }
    token = nil
    finishLeaving()
    tell(reason, always: wasUp)
  }

  private func finishLeaving() {
    for waiter in leaving { waiter.give(.success(())) }
    leaving.removeAll()
  }

  private func closeHandle() {
    if let handle, handle.isOpen {
      loop.unwatch(handle.descriptor)
      handle.shutDown()
    }
    handle = nil
    watched = -1
  }

  /// Tells the owner, but not the same failure again and again while nobody answers.
  private func tell(_ reason: MQTTDisconnectReason, always: Bool) {
    guard always || reason != lastTold else { return }
    lastTold = reason
    switch reason {
    case .requested, .aborted: break
    default:
      logger.warning(
        "MQTT connection down", ["clientId": configuration.clientId, "reason": reason.description])
    }
    onState(.disconnected(reason))
  }

  private func failEverything() {
    let pending = inFlight
    inFlight.removeAll()
    var detached = 0
    for entry in waiting[waitingHead...] {
      entry.batch?.complete(entry.index, .failure(.connectionLost))
      if entry.detached != nil { detached += 1 }
    }
    waiting.removeAll()
    waitingHead = 0
    for entry in pending.values { entry.batch?.complete(entry.index, .failure(.connectionLost)) }
    if detached > 0 { dropDetached(detached) }
    let asked = requests
    requests.removeAll()
    initialSubscriptions.removeAll()
    for request in asked.values { request.fail(.connectionLost) }
  }

  // MARK: Timers

  func setDeadline(_ time: UInt64) {
    let time = drain.map { min($0.deadline, time) } ?? time
    deadline = time
    guard let token else { return }
    if let heapDeadline, heapDeadline <= time { return }
    heapDeadline = time
    loop.setTimer(time, token: token)
  }

  /// One entry of the loop's heap came due. A session has one that counts; if its deadline has moved on since, the
  /// entry is set again.
  func timerEntryDue(_ entry: UInt64, now: UInt64) {
    guard entry == heapDeadline else { return }
    heapDeadline = nil
    guard let deadline else { return }
    if deadline > now { return setDeadline(deadline) }
    self.deadline = nil
    if let drain, drain.deadline <= now { return end(.requested) }
    switch phase {
    case .idle: break
    case .waiting: beginAttempt()
    case .connecting: lost(.timedOut)
    case .disconnecting: end(.requested)
    case .connected: tick(now)
    }
  }

  private func tick(_ now: UInt64) {
    guard let handle else { return }
    if !initialSubscriptions.isEmpty, now - connectedAt >= configuration.connectTimeout.nanoseconds {
      return lost(.timedOut)
    }
    if handle.tick() != nil { return lost(.timedOut) }
    setDeadline(now + tickInterval)
    afterWork()
  }

  /// How often the keep-alive is looked at: the library counts in whole seconds.
  var tickInterval: UInt64 {
    let keepAlive = UInt64(configuration.effectiveKeepAlive)
    return max(1, keepAlive == 0 ? 60 : keepAlive / 4) * 1_000_000_000
  }
}
