import Observability
import Synchronization

/// Reading, writing and what the library reports. All of it runs on the loop's thread.
extension SessionCore {
  /// So many packets of one session are read before the others have their turn.
  private static let readsAtOnce = 64

  func socketReady(_ readiness: Readiness) {
    guard let handle else { return }
    if phase == .connecting, readiness.contains(.writable) || !readiness.isDisjoint(with: .hangUp),
      let failure = handle.connectFailure
    {
      return lost(.connectFailed(failure))
    }
    // A TLS handshake is driven by reading, also when it waits to write.
    let handshake = configuration.tls != nil && phase == .connecting
    if handshake || readiness.contains(.readable) || !readiness.isDisjoint(with: .hangUp) {
      readAll(hungUp: !readiness.isDisjoint(with: .hangUp))
    }
    afterWork()
  }

  private func readAll(hungUp: Bool) {
    guard let handle else { return }
    var reads = 0
    repeat {
      receivedSomething = false
      if let failure = handle.read() { return lost(.connectionLost(failure)) }
      reads += 1
      // With TLS there may be more than the socket shows.
    } while reads < Self.readsAtOnce
      && (handle.bytesWaiting > 0 || (configuration.tls != nil && receivedSomething))
    // In a TLS handshake the library does not notice that the other side has gone.
    if hungUp, phase == .connecting, handle.bytesWaiting == 0 { lost(.connectionLost("closed")) }
  }

  /// After anything: hand over what may be sent, write it, and watch for the socket to take more.
  func afterWork() {
    repeat {
      pump()
      sendDisconnectIfDrained()
      flush()
      // QoS 0 messages are done once written: then the next ones may go.
    } while mayPump && handle?.wantsToWrite == false
  }

  private var mayPump: Bool {
    phase == .connected && waitingHead < waiting.count && inFlight.count < window
  }

  /// Gives waiting messages to the library, as many as the window has room for.
  private func pump() {
    guard let handle, phase == .connected else { return }
    while mayPump {
      let next = waiting[waitingHead]
      waitingHead += 1
      if next.detached != nil { dropDetached(1) }
      if let batch = next.batch, batch.hasOutcome(next.index) { continue }
      guard let message = next.detached ?? next.batch?.messages[next.index] else { continue }
      do throws(MQTTError) {
        let id = try handle.publish(message)
        inFlight[id] = InFlight(batch: next.batch, index: next.index)
      } catch { next.batch?.complete(next.index, .failure(error)) }
    }
    if waitingHead == waiting.count {
      waiting.removeAll(keepingCapacity: waiting.count <= 1024)
      waitingHead = 0
    } else if waitingHead > 4096 {
      waiting.removeFirst(waitingHead)
      waitingHead = 0
    }
  }

  private func flush() {
    guard let handle, let token else { return }
    if handle.wantsToWrite, let failure = handle.write(corked: inFlight.count > 1) {
      return lost(phase == .connecting ? .connectFailed(failure) : .connectionLost(failure))
    }
    let writable = handle.wantsToWrite
    if writable != watchesWritable {
      watchesWritable = writable
      loop.change(watched, token: token, writable: writable)
    }
  }

  private func sendDisconnectIfDrained() {
    guard let drain, phase == .connected, inFlight.isEmpty, waitingHead == waiting.count, let handle else {
      return
    }
    phase = .disconnecting
    handle.disconnect(endSession: drain.endSession)
  }
}
