import Observability
import Threads

/// Handing a batch over and waiting for it. All of it runs on the uplink's thread, which blocks here: nothing is
/// read or written meanwhile, except pings.
extension UplinkCore {
  private final class Verdict: Sendable {
    let outcome = Locked<Result<Void, any Error>?>(nil)
  }

  /// Calls `handle` until it returns.
  /// - Returns: `false` when the batch is given up: the connection was lost after a failure, or the owner's time
  ///   to stop is over. Its messages were not acknowledged, so the broker sends them again.
  func deliver(_ messages: [MQTTMessage], _ connection: Mosquitto, mayPing: Bool) -> Bool {
    var failures = 0
    var pinger = Pinger(configuration, isAllowed: mayPing)
    while true {
      guard let outcome = handleOnce(messages, connection, &pinger) else { return false }
      switch outcome {
      case .success:
        counters.withLock { $0.batches += 1 }
        return true
      case .failure(let error):
        counters.withLock { $0.retries += 1 }
        logger.warning(
          "uplink batch not handled, trying again",
          ["clientId": configuration.clientId, "messages": "\(messages.count)", "error": "\(error)"])
      }
      let end = monotonicNanoseconds() + backoff.delay(attempt: failures)
      failures += 1
      while monotonicNanoseconds() < end {
        guard pause(until: end, connection, &pinger) else { return false }
      }
      if isGone(connection) { return false }
    }
  }

  /// Runs `handle` as a task and blocks until it is done; `nil` when the owner's time to stop is over.
  private func handleOnce(
    _ messages: [MQTTMessage], _ connection: Mosquitto, _ pinger: inout Pinger
  ) -> Result<Void, any Error>? {
    let verdict = Verdict()
    let task = Task { [handle, wakeUp] in
      let outcome: Result<Void, any Error>
      do {
        try await handle(messages)
        outcome = .success(())
      } catch { outcome = .failure(error) }
      verdict.outcome.withLock { $0 = outcome }
      wakeUp.ring()
    }
    while true {
      if let outcome = verdict.outcome.withLock({ $0 }) { return outcome }
      let now = monotonicNanoseconds()
      if let ending, now >= ending.deadline {
        task.cancel()
        return nil
      }
      _ = pollOne(-1, [], wakeUp: wakeUp, nanoseconds: 250_000_000)
      pinger.pingIfDue(connection)
    }
  }

  /// Waits between two tries; `false` when the batch shall be given up.
  private func pause(until end: UInt64, _ connection: Mosquitto, _ pinger: inout Pinger) -> Bool {
    let now = monotonicNanoseconds()
    if let ending, now >= ending.deadline { return false }
    if isGone(connection) { return false }
    _ = pollOne(-1, [], wakeUp: wakeUp, nanoseconds: min(end > now ? end - now : 0, 250_000_000))
    pinger.pingIfDue(connection)
    return true
  }

  /// Whether the broker has closed the connection.
  private func isGone(_ connection: Mosquitto) -> Bool {
    let (ready, _) = pollOne(connection.descriptor, [], wakeUp: noBell, nanoseconds: 0)
    return !ready.isDisjoint(with: .hangUp)
  }

  /// Keeps the broker from ending a connection that is silent because its PUBACKs are held.
  private struct Pinger {
    private let interval: UInt64?
    private var last = monotonicNanoseconds()

    init(_ configuration: MQTTConfiguration, isAllowed: Bool) {
      let keepAlive = UInt64(configuration.effectiveKeepAlive)
      interval = isAllowed && keepAlive > 0 ? keepAlive * 500_000_000 : nil
    }

    mutating func pingIfDue(_ connection: Mosquitto) {
      let now = monotonicNanoseconds()
      guard let interval, now - last >= interval else { return }
      last = now
      connection.pingNow()
    }
  }
}

/// Never signalled: for a look at a socket that must not swallow a wake-up.
private let noBell = Bell()
