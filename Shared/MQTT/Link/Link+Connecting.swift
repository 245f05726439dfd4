import FoundationEssentials
import Loop
import Observability

/// Getting and losing the connection.
extension Link {
  /// A connection that lasted this long counts as a good one: the next loss begins with the shortest wait again.
  private static let settledAfter = Duration.seconds(2)

  /// What a link waits for.
  struct Timers {
    /// The next attempt, or the end of this one.
    var next: LoopTimer?
    /// The next look at the keep-alive.
    var tick: LoopTimer?
  }

  func start() {
    guard phase == .idle else { return }
    whenOver = loop.whenOver { [self] in end(.aborted) }
    attempt = 0
    lastTold = nil
    beginAttempt()
  }

  private func beginAttempt() {
    phase = .connecting
    attemptNumber &+= 1
    brokerReason = nil
    limitWait()
    guard let handle = Mosquitto(configuration, delegate: self) else {
      return lost(.connectFailed("no descriptor or memory left"))
    }
    guard !Mosquitto.opensAtOnce(configuration) else {
      do throws(MQTTError) { try handle.open(configuration, attempt: attempt) } catch {
        return lost(.connectFailed(error.description))
      }
      return adopt(handle)
    }
    let (lent, me) = (LentHandle(handle), LoopBound(loop, confined: self))
    loop.task { [loop, configuration, attempt, attemptNumber] in
      let failure = await loop.blocking { lent.open(configuration, attempt) }
      me.value.opened(lent.handle, attemptNumber, failure)
    }
  }

  /// A handle on its way to the loop's helper thread and back.
  ///
  /// `@unchecked Sendable`: the helper thread alone has it until `blocking` returns, the loop alone from then on.
  private struct LentHandle: @unchecked Sendable {
    let handle: Mosquitto
    init(_ handle: Mosquitto) { self.handle = handle }

    func open(_ configuration: MQTTConfiguration, _ attempt: Int) -> MQTTError? {
      do throws(MQTTError) {
        try handle.open(configuration, attempt: attempt)
        return nil
      } catch { return error }
    }
  }

  private func opened(_ handle: Mosquitto, _ number: UInt64, _ failure: MQTTError?) {
    guard phase == .connecting, number == attemptNumber, self.handle == nil else { return }
    if let failure { return lost(.connectFailed(failure.description)) }
    adopt(handle)
  }

  private func adopt(_ handle: Mosquitto) {
    self.handle = handle
    interest = [.reading, .writing]
    source = loop.watch(handle.descriptor, interest) { [self] in ready($0) }
  }

  /// The connection is gone or never came.
  func lost(_ reason: MQTTDisconnectReason) {
    if phase == .disconnecting { return end(.requested) }
    let wasUp = standing.isUp.exchange(false, ordering: .releasing)
    if phase == .connected, .now - acceptedAt >= Self.settledAfter { attempt = 0 }
    let told = brokerReason ?? reason
    close()
    phase = .waiting
    guard dropped() else { return end(told, wasUp: wasUp) }
    let wait = Duration.nanoseconds(Int64(clamping: backoff.delay(attempt: attempt)))
    attempt += 1
    timers.next = loop.schedule(after: wait) { [self] in
      timers.next = nil
      beginAttempt()
    }
    tell(told, always: wasUp)
  }

  /// Queues the disconnect; what is queued already goes before it. It ends when the broker has closed the connection.
  func disconnect(endSession: Bool) {
    guard let handle, phase == .connected else { return }
    phase = .disconnecting
    handle.disconnect(endSession: endSession)
    needsWrite()
  }

  /// Ends it here and now, as its owner wanted. It can be started again.
  func end(_ reason: MQTTDisconnectReason, wasUp: Bool = false) {
    guard phase != .idle else { return ended() }
    let wasUp = standing.isUp.exchange(false, ordering: .releasing) || wasUp
    phase = .idle
    close()
    whenOver.take().map(loop.cancel)
    _ = dropped()
    ended()
    tell(reason, always: wasUp)
  }

  private func close() {
    timers.next.take().map(loop.cancel)
    timers.tick.take().map(loop.cancel)
    source.take().map(loop.cancel)
    handle?.shutDown()
    handle = nil
    initialSubscriptions.removeAll()
    forgetTraffic()
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

  // MARK: Timers

  /// From now on so long until it has to be up.
  func limitWait() {
    timers.next.take().map(loop.cancel)
    timers.next = loop.schedule(after: configuration.connectTimeout) { [self] in
      timers.next = nil
      // The answers to the subscriptions may stand behind messages that are being handled.
      if hold == .nothing { lost(.timedOut) } else { limitWait() }
    }
  }

  /// Looks at the keep-alive from time to time: the library counts in whole seconds.
  private func tickLater() {
    let keepAlive = configuration.effectiveKeepAlive
    let interval = Duration.seconds(max(1, keepAlive == 0 ? 60 : keepAlive / 4))
    timers.tick = loop.schedule(after: interval) { [self] in
      tickLater()
      guard hold == .nothing else { return pingWhileHeld() }
      guard let handle else { return }
      let failure = handle.tick()
      guard self.handle === handle else { return }
      if failure != nil { return lost(.timedOut) }
      needsWrite()
    }
  }
}

extension Link: MosquittoDelegate {
  func connected(_ reason: MQTTReasonCode, sessionPresent: Bool, brokerReceiveMaximum: Int) {
    progressed = true
    guard reason.rawValue == 0, let handle, phase == .connecting else {
      brokerReason = .refused(reason)
      return
    }
    phase = .connected
    acceptedAt = .now
    isFresh = true
    self.sessionPresent = sessionPresent
    limitWait()
    tickLater()
    // Also when the broker has the session: a shared subscription does not survive its restart.
    for subscription in subscribes ? subscriptions : [] {
      do throws(MQTTError) {
        initialSubscriptions.insert(try handle.subscribe(subscription))
      } catch {
        logger.error("cannot subscribe", ["filter": subscription.filter, "reason": error.description])
      }
    }
    accepted(receiveMaximum: brokerReceiveMaximum)
    upIfComplete()
  }

  func disconnectedByBroker(_ reason: MQTTReasonCode) { brokerReason = .byBroker(reason) }

  func subscribed(id: Int, granted: [MQTTReasonCode]) {
    progressed = true
    let refusal = granted.first(where: \.isFailure)
    guard initialSubscriptions.remove(id) != nil else { return answered(id: id, refusal: refusal) }
    if let refusal {
      logger.error(
        "the MQTT broker refused a subscription",
        ["clientId": configuration.clientId, "reason": refusal.description])
    }
    upIfComplete()
  }

  func unsubscribed(id: Int) {
    progressed = true
    answered(id: id, refusal: nil)
  }

  private func upIfComplete() {
    guard initialSubscriptions.isEmpty, !standing.isUp.exchange(true, ordering: .acquiringAndReleasing) else {
      return
    }
    timers.next.take().map(loop.cancel)
    if lastTold != nil { logger.info("MQTT connection up again", ["clientId": configuration.clientId]) }
    lastTold = nil
    onState(.connected(sessionPresent: sessionPresent))
  }
}
