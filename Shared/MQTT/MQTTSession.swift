import Observability
import Synchronization

/// One connection, kept up: reconnects with exponential back-off and full jitter (100 ms to 10 s); subscriptions are
/// made again on every CONNACK.
///
/// A lost connection ends every publication that waits with `connectionLost`, and nothing is sent again by itself:
/// whoever published decides. `onMessage` and `onState` are called on the loop's thread: copy and leave.
public final class MQTTSession: Sendable {
  private let core: SessionCore

  /// A session that does nothing until `start()`.
  ///
  /// - Parameters:
  ///   - configuration: where and as whom.
  ///   - loop: the loop that drives it; keep it until the session has ended.
  ///   - subscriptions: made on every connection. A filter that is not valid is logged and left out.
  ///   - logger: for connections lost, refused and back again.
  ///   - onMessage: every message received. QoS 1 is acknowledged to the broker whatever it does.
  ///   - onState: `connected` once the broker has answered the subscriptions, `disconnected` with the reason; a
  ///     reason that repeats while the broker is away is told once.
  public init(
    configuration: MQTTConfiguration, loop: MQTTEventLoop, subscriptions: [MQTTSubscription] = [],
    logger: Logger,
    onMessage: @escaping @Sendable (MQTTMessage) -> Void = { _ in },
    onState: @escaping @Sendable (MQTTSessionState) -> Void = { _ in }
  ) {
    core = SessionCore(
      configuration: configuration, loop: loop.core, subscriptions: subscriptions, logger: logger,
      onMessage: onMessage, onState: onState)
  }

  /// A session that nobody holds any more disconnects.
  deinit {
    core.post(.disconnect(endSession: false, deadline: monotonicNanoseconds() + 5_000_000_000, OneShot()))
  }

  /// Begins to connect. After `disconnect` or `abort` it begins anew; while it runs nothing happens.
  public func start() { core.post(.start) }

  /// Whether there is a connection whose subscriptions the broker has answered.
  public var isConnected: Bool { core.isUp.load(ordering: .acquiring) }

  /// Publishes and waits for the broker's PUBACK (QoS 0: until it is written).
  ///
  /// - Throws: `MQTTError.notConnected` at once without a connection, `.connectionLost` when it goes before the
  ///   PUBACK (the message may have arrived), `.invalidTopic` or `.invalidMessage` before anything is sent, and
  ///   `CancellationError` when the task is cancelled (what was written may have arrived).
  public func publish(_ message: MQTTMessage) async throws -> MQTTPublishResult {
    switch await publish([message])[0] {
    case .success(let result): return result
    case .failure(.cancelled): throw CancellationError()
    case .failure(let error): throw error
    }
  }

  /// Publishes all of them, then waits for all PUBACKs; one outcome for each message, in the order given.
  ///
  /// Never more are unacknowledged at once than the broker allows (its receive maximum).
  public func publish(_ messages: [MQTTMessage]) async -> [Result<MQTTPublishResult, MQTTError>] {
    if messages.isEmpty { return [] }
    let batch = PublishBatch(messages)
    for (index, message) in messages.enumerated() {
      if let fault = message.fault { batch.complete(index, .failure(fault)) }
    }
    return await batch.outcomes { core.post(.publish($0)) }
  }

  /// Publishes without waiting for what becomes of it; dropped when there is no connection.
  ///
  /// - Returns: `false` when the message is not valid or 10,000 wait already; then it is dropped.
  @discardableResult
  public func publishDetached(_ message: MQTTMessage) -> Bool {
    guard message.fault == nil else { return false }
    return core.postDetached(message)
  }

  /// Subscribes now and on every later connection; returns when the broker granted it.
  ///
  /// - Throws: `MQTTError.invalidFilter` (nothing is changed), `.notConnected` or `.connectionLost` (it is made on
  ///   the next connection), `.refused`, `CancellationError`.
  public func subscribe(_ subscriptions: [MQTTSubscription]) async throws {
    guard subscriptions.allSatisfy({ MQTTTopic.isValidFilter($0.filter) }) else {
      throw MQTTError.invalidFilter
    }
    let waiter = OneShot<Void>()
    core.post(.subscribe(subscriptions, waiter))
    try await waiter.value()
  }

  /// The same for one filter.
  public func subscribe(_ subscription: MQTTSubscription) async throws { try await subscribe([subscription]) }

  /// Ends subscriptions, now and for later connections; throws as `subscribe` does.
  public func unsubscribe(_ filters: [String]) async throws {
    guard filters.allSatisfy(MQTTTopic.isValidFilter) else { throw MQTTError.invalidFilter }
    let waiter = OneShot<Void>()
    core.post(.unsubscribe(filters, waiter))
    try await waiter.value()
  }

  /// The same for one filter.
  public func unsubscribe(_ filter: String) async throws { try await unsubscribe([filter]) }

  /// Waits for the PUBACKs of what was published before, then disconnects: the broker does not publish the will.
  ///
  /// - Parameters:
  ///   - endSession: the broker forgets the session now, whatever its expiry was.
  ///   - timeout: after it the socket is dropped.
  public func disconnect(endSession: Bool = false, timeout: Duration = .seconds(5)) async {
    let waiter = OneShot<Void>()
    let deadline = monotonicNanoseconds() + timeout.nanoseconds
    core.post(.disconnect(endSession: endSession, deadline: deadline, waiter))
    // A cancelled task stops waiting; the session ends all the same.
    try? await waiter.value()
  }

  /// Drops the socket, as a crash would: the broker publishes the will.
  public func abort() { core.post(.abort) }
}
