/// Leaving without losing anything. All of it runs on the uplink's thread.
extension UplinkCore {
  enum Draining {
    case goOn
    case drained
    case lost(MQTTDisconnectReason)
  }

  /// Ends the subscriptions, and again until a whole round trip brought no message.
  ///
  /// The broker answers packets in order, and a PUBACK makes it send what it had queued for us. So an UNSUBSCRIBE
  /// sent after all PUBACKs is a barrier: what was queued comes before its answer. Two quiet round trips in a row end
  /// it.
  func drain(_ connection: Mosquitto) -> Draining {
    if barrier.isOpen {
      guard pendingBarrier.isEmpty else { return .goOn }
      barrier.isOpen = false
      let received = counters.withLock { $0.received }
      barrier.quietRounds = received == barrier.receivedBefore ? barrier.quietRounds + 1 : 0
      if barrier.quietRounds >= 2 { return .drained }
    }
    barrier.isOpen = true
    barrier.receivedBefore = counters.withLock { $0.received }
    for subscription in subscriptions {
      do throws(MQTTError) { pendingBarrier.insert(try connection.unsubscribe(subscription.filter)) } catch {
        continue
      }
    }
    // Without a subscription there is nothing to wait for.
    if pendingBarrier.isEmpty { return .drained }
    return flush(connection).map { .lost($0) } ?? .goOn
  }

  /// Where the barriers stand.
  struct Barrier {
    var isOpen = false
    var receivedBefore = 0
    var quietRounds = 0
  }
}

extension UplinkCore: MosquittoDelegate {
  func connected(_ reason: MQTTReasonCode, sessionPresent: Bool, brokerReceiveMaximum: Int) {
    progressed = true
    guard reason.rawValue == 0, let connection else {
      brokerReason = .refused(reason)
      return
    }
    isAccepted = true
    barrier = Barrier()
    self.sessionPresent = sessionPresent
    // Not while leaving: then the session is only drained.
    if ending?.wish != .leave {
      for subscription in subscriptions {
        do throws(MQTTError) {
          pendingSubscriptions.insert(try connection.subscribe(subscription))
        } catch {
          logger.error("cannot subscribe", ["filter": subscription.filter, "reason": error.description])
        }
      }
    }
    upIfComplete()
  }

  func disconnectedByBroker(_ reason: MQTTReasonCode) { brokerReason = .byBroker(reason) }

  func published(id: Int, reason: MQTTReasonCode) {}

  func received(_ message: MQTTMessage) {
    progressed = true
    counters.withLock { $0.received += 1 }
    batch.append(message)
  }

  func subscribed(id: Int, granted: [MQTTReasonCode]) {
    progressed = true
    if let refusal = granted.first(where: \.isFailure) {
      logger.error(
        "the MQTT broker refused a subscription",
        ["clientId": configuration.clientId, "reason": refusal.description])
    }
    if pendingSubscriptions.remove(id) != nil { upIfComplete() }
  }

  func unsubscribed(id: Int) {
    progressed = true
    pendingBarrier.remove(id)
  }

  private func upIfComplete() {
    guard pendingSubscriptions.isEmpty, !isUp.exchange(true, ordering: .acquiringAndReleasing) else { return }
    if lastTold != nil { logger.info("MQTT uplink up again", ["clientId": configuration.clientId]) }
    lastTold = nil
    connectedAt = monotonicNanoseconds()
    onState(.connected(sessionPresent: sessionPresent))
  }
}
