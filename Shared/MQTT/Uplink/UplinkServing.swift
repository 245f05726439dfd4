import Observability
import Synchronization

/// One connection of an uplink, from the first packet to its end. All of it runs on the uplink's thread.
extension UplinkCore {
  /// Connects and serves until the connection is gone.
  /// - Returns: why, or `nil` when the owner's wish is fulfilled.
  func connectAndServe() -> MQTTDisconnectReason? {
    batch.removeAll()
    isAccepted = false
    brokerReason = nil
    pendingSubscriptions.removeAll()
    pendingBarrier.removeAll()
    guard let connection = Mosquitto(configuration, delegate: self) else {
      return .connectFailed("no descriptor or memory left")
    }
    self.connection = connection
    // Blocking in a name server or a certificate file is no harm here: the thread is the uplink's own.
    do throws(MQTTError) { try connection.open(configuration, attempt: attempt) } catch {
      return .connectFailed(error.description)
    }
    return serve(connection)
  }

  private func serve(_ connection: Mosquitto) -> MQTTDisconnectReason? {
    upDeadline = monotonicNanoseconds() + configuration.connectTimeout.nanoseconds
    var nextTick = monotonicNanoseconds() + 1_000_000_000
    while true {
      if let ending, let finished = finish(ending, connection) { return finished }
      var interest: Readiness = .readable
      if connection.wantsToWrite { interest.insert(.writable) }
      let now = monotonicNanoseconds()
      let (ready, _) = pollOne(
        connection.descriptor, interest, wakeUp: wakeUp, nanoseconds: nextTick > now ? nextTick - now : 0)
      if let failure = work(connection, ready) { return failure }
      let later = monotonicNanoseconds()
      if later >= nextTick {
        nextTick = later + 1_000_000_000
        if !isUp.load(ordering: .relaxed), later >= upDeadline { return .timedOut }
        if connection.tick() != nil { return .timedOut }
        if let failure = flush(connection) { return failure }
      }
    }
  }

  /// Reads what is there, has it handled, and only then writes.
  private func work(_ connection: Mosquitto, _ ready: Readiness) -> MQTTDisconnectReason? {
    if !isAccepted, !ready.isEmpty, let failure = connection.connectFailure { return .connectFailed(failure) }
    // Nothing half written may stand before a ping that overtakes the held PUBACKs.
    let mayPing = !connection.wantsToWrite
    let hungUp = !ready.isDisjoint(with: .hangUp)
    // A TLS handshake is driven by reading, also when it waits to write.
    if ready.contains(.readable) || hungUp || (!isAccepted && !ready.isEmpty) {
      if let failure = readBatch(connection) { return dropBatch(.connectionLost(failure)) }
      if hungUp, !isAccepted, connection.bytesWaiting == 0 { return .connectionLost("closed") }
    }
    if !batch.isEmpty {
      guard deliver(batch, connection, mayPing: mayPing) else {
        return dropBatch(.connectionLost("before the batch was handled"))
      }
      batch.removeAll(keepingCapacity: true)
      // The answers to the subscriptions may stand behind the messages.
      upDeadline = monotonicNanoseconds() + configuration.connectTimeout.nanoseconds
    }
    return flush(connection)
  }

  private func readBatch(_ connection: Mosquitto) -> String? {
    let wasAccepted = isAccepted
    repeat {
      progressed = false
      if let failure = connection.read() { return failure }
      // Out with the subscriptions before a batch holds everything back. With TLS the library may have read
      // messages along with the CONNACK; then they go with the PUBACKs.
      if isAccepted, !wasAccepted { return nil }
      // With TLS there may be more than the socket shows.
    } while batch.count < maximumBatch
      && (connection.bytesWaiting > 0 || (configuration.tls != nil && progressed))
    return nil
  }

  private func dropBatch(_ reason: MQTTDisconnectReason) -> MQTTDisconnectReason {
    if !batch.isEmpty { counters.withLock { $0.dropped += 1 } }
    batch.removeAll()
    return reason
  }

  /// Writes everything that is queued, PUBACKs first of all, as far as the socket takes it.
  func flush(_ connection: Mosquitto) -> MQTTDisconnectReason? {
    guard connection.wantsToWrite, let failure = connection.write(corked: true) else { return nil }
    return isAccepted ? .connectionLost(failure) : .connectFailed(failure)
  }

  // MARK: Ending

  /// - Returns: the reason to end the connection now, or `nil` to go on (leaving takes a few round trips).
  private func finish(_ ending: Ending, _ connection: Mosquitto) -> MQTTDisconnectReason?? {
    let isLate = monotonicNanoseconds() >= ending.deadline
    if ending.wish == .leave, !isLate {
      guard isAccepted else { return nil }
      switch drain(connection) {
      case .goOn: return nil
      case .lost(let reason): return .some(reason)
      case .drained: left = true
      }
    }
    if isAccepted {
      // Whatever is queued goes before it: PUBACKs of handled messages only.
      connection.disconnect(endSession: left)
      writeOut(connection, until: monotonicNanoseconds() + 1_000_000_000)
    }
    return .some(nil)
  }

  private func writeOut(_ connection: Mosquitto, until deadline: UInt64) {
    while connection.isOpen, connection.wantsToWrite {
      let now = monotonicNanoseconds()
      guard now < deadline, flush(connection) == nil else { return }
      _ = pollOne(
        connection.descriptor, .writable, wakeUp: wakeUp, nanoseconds: min(100_000_000, deadline - now))
    }
  }
}
