import Observability
import Synchronization

/// Subscriptions, leaving, and what the library reports. All of it runs on the loop's thread.
extension SessionCore {
  /// A task that waits for the answers to one or more SUBSCRIBE or UNSUBSCRIBE packets.
  final class Request {
    var missing: Int
    var refusal: MQTTReasonCode?
    let waiter: OneShot<Void>

    init(missing: Int, waiter: OneShot<Void>) {
      self.missing = missing
      self.waiter = waiter
    }

    func answered(_ reason: MQTTReasonCode?) {
      if let reason, reason.isFailure { refusal = reason }
      missing -= 1
      guard missing == 0 else { return }
      if let refusal { waiter.give(.failure(MQTTError.refused(refusal))) } else { waiter.give(.success(())) }
    }

    func fail(_ error: MQTTError) { waiter.give(.failure(error)) }
  }

  func subscribe(_ added: [MQTTSubscription], _ waiter: OneShot<Void>) {
    // Kept first: they are made on the next connection too, whatever becomes of this one.
    for subscription in added {
      subscriptions.removeAll { $0.filter == subscription.filter }
      subscriptions.append(subscription)
    }
    guard let handle, phase == .connected, drain == nil else {
      return waiter.give(.failure(MQTTError.notConnected))
    }
    ask(added, waiter) { subscription throws(MQTTError) in try handle.subscribe(subscription) }
  }

  func unsubscribe(_ filters: [String], _ waiter: OneShot<Void>) {
    subscriptions.removeAll { filters.contains($0.filter) }
    guard let handle, phase == .connected, drain == nil else {
      return waiter.give(.failure(MQTTError.notConnected))
    }
    ask(filters, waiter) { filter throws(MQTTError) in try handle.unsubscribe(filter) }
  }

  private func ask<Item>(
    _ items: [Item], _ waiter: OneShot<Void>, _ send: (Item) throws(MQTTError) -> Int
  ) {
    if items.isEmpty { return waiter.give(.success(())) }
    let request = Request(missing: items.count, waiter: waiter)
    for item in items {
      do throws(MQTTError) { requests[try send(item)] = request } catch { request.fail(error) }
    }
  }

  func leave(_ endSession: Bool, _ deadline: UInt64, _ waiter: OneShot<Void>) {
    leaving.append(waiter)
    guard phase == .connected else { return end(.requested) }
    drain = (endSession, deadline)
    setDeadline(deadline)
  }
}

extension SessionCore: MosquittoDelegate {
  func connected(_ reason: MQTTReasonCode, sessionPresent: Bool, brokerReceiveMaximum: Int) {
    receivedSomething = true
    guard reason.rawValue == 0, let handle else {
      brokerReason = .refused(reason)
      return
    }
    phase = .connected
    connectedAt = monotonicNanoseconds()
    self.sessionPresent = sessionPresent
    window = min(Self.widestWindow, brokerReceiveMaximum)
    setDeadline(connectedAt + min(tickInterval, configuration.connectTimeout.nanoseconds))
    // Also when the broker has the session: a shared subscription does not survive its restart.
    for subscription in subscriptions {
      do throws(MQTTError) {
        initialSubscriptions.insert(try handle.subscribe(subscription))
      } catch {
        logger.error("cannot subscribe", ["filter": subscription.filter, "reason": error.description])
      }
    }
    upIfComplete()
  }

  func disconnectedByBroker(_ reason: MQTTReasonCode) { brokerReason = .byBroker(reason) }

  func published(id: Int, reason: MQTTReasonCode) {
    receivedSomething = true
    guard let entry = inFlight.removeValue(forKey: id), let batch = entry.batch else { return }
    let result: MQTTPublishResult =
      reason.isFailure ? .refused(reason) : reason.rawValue == 16 ? .noMatchingSubscribers : .accepted
    batch.complete(entry.index, .success(result))
  }

  func received(_ message: MQTTMessage) {
    receivedSomething = true
    onMessage(message)
  }

  func subscribed(id: Int, granted: [MQTTReasonCode]) {
    receivedSomething = true
    let refusal = granted.first(where: \.isFailure)
    if initialSubscriptions.remove(id) != nil {
      if let refusal {
        logger.error(
          "the MQTT broker refused a subscription",
          ["clientId": configuration.clientId, "reason": refusal.description])
      }
      return upIfComplete()
    }
    requests.removeValue(forKey: id)?.answered(refusal)
  }

  func unsubscribed(id: Int) {
    receivedSomething = true
    requests.removeValue(forKey: id)?.answered(nil)
  }

  private func upIfComplete() {
    guard initialSubscriptions.isEmpty, !isUp.exchange(true, ordering: .acquiringAndReleasing) else { return }
    if lastTold != nil {
      logger.info("MQTT connection up again", ["clientId": configuration.clientId])
    }
    lastTold = nil
    onState(.connected(sessionPresent: sessionPresent))
  }
}
