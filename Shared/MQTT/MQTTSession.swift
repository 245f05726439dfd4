import Loop
import Observability
import Synchronization

/// One connection, kept up on a loop: reconnects with exponential back-off and full jitter (100 ms to 10 s);
/// subscriptions are made again on every CONNACK.
///
/// Any number of sessions share a loop; what all of them have to write is written at the end of its turn. A lost
/// connection ends every publication that waits with `connectionLost`, and nothing is sent again by itself: whoever
/// published decides. `onMessage` and `onState` are called on the loop, and may do there whatever does not wait.
public final class MQTTSession: Sendable {
  private let loop: EventLoop
  private let link: LoopBound<SessionLink>
  private let standing = Standing()

  /// A session that does nothing until `start()`.
  ///
  /// - Parameters:
  ///   - configuration: where and as whom.
  ///   - loop: where it lives.
  ///   - subscriptions: made on every connection. A filter that is not valid is logged and left out.
  ///   - logger: for connections lost, refused and back again.
  ///   - onMessage: every message received. QoS 1 is acknowledged to the broker whatever it does.
  ///   - onState: `connected` once the broker has answered the subscriptions, `disconnected` with the reason; a
  ///     reason that repeats while the broker is away is told once.
  public init(
    configuration: MQTTConfiguration, loop: EventLoop, subscriptions: [MQTTSubscription] = [],
    logger: Logger,
    onMessage: @escaping @Sendable (MQTTMessage) -> Void = { _ in },
    onState: @escaping @Sendable (MQTTSessionState) -> Void = { _ in }
  ) {
    self.loop = loop
    link = LoopBound(
      loop,
      SessionLink(
        configuration: configuration, loop: loop, subscriptions: subscriptions, logger: logger,
        standing: standing, onMessage: onMessage, onState: onState))
  }

  /// A session that nobody holds any more disconnects.
  deinit {
    loop.execute { [link] in
      link.value.leave(endSession: false, timeout: .seconds(5), Answer(cancelled: ()))
    }
  }

  /// Begins to connect. After `disconnect` or `abort` it begins anew; while it runs nothing happens.
  public func start() { loop.execute { [link] in link.value.start() } }

  /// Whether there is a connection whose subscriptions the broker has answered.
  public var isConnected: Bool { standing.isUp.load(ordering: .acquiring) }

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
    return await loop.answer(
      PublishBatch(messages), ended: messages.map { _ in .failure(.notConnected) }
    ) { [link] in link.value.publish($0) }
  }

  /// Publishes without waiting for what becomes of it; dropped when there is no connection.
  ///
  /// - Returns: `false` when the message is not valid or 10,000 wait already; then it is dropped.
  @discardableResult
  public func publishDetached(_ message: MQTTMessage) -> Bool {
    guard message.fault == nil else { return false }
    let waiting = standing.detached.add(1, ordering: .relaxed).newValue
    if waiting <= SessionLink.detachedLimit, loop.execute({ [link] in link.value.publishDetached(message) }) {
      return true
    }
    standing.detached.subtract(1, ordering: .relaxed)
    return false
  }

  /// Subscribes now and on every later connection; returns when the broker granted it.
  ///
  /// - Throws: `MQTTError.invalidFilter` (nothing is changed), `.notConnected` or `.connectionLost` (it is made on
  ///   the next connection), `.refused`, `CancellationError`.
  public func subscribe(_ subscriptions: [MQTTSubscription]) async throws {
    guard subscriptions.allSatisfy({ MQTTTopic.isValidFilter($0.filter) }) else {
      throw MQTTError.invalidFilter
    }
    try await request { $0.subscribe(subscriptions, $1) }
  }

  /// The same for one filter.
  public func subscribe(_ subscription: MQTTSubscription) async throws { try await subscribe([subscription]) }

  /// Ends subscriptions, now and for later connections; throws as `subscribe` does.
  public func unsubscribe(_ filters: [String]) async throws {
    guard filters.allSatisfy(MQTTTopic.isValidFilter) else { throw MQTTError.invalidFilter }
    try await request { $0.unsubscribe(filters, $1) }
  }

  /// The same for one filter.
  public func unsubscribe(_ filter: String) async throws { try await unsubscribe([filter]) }

  private func request(_ ask: @escaping @Sendable (SessionLink, SessionLink.Request) -> Void) async throws {
    let answer = await loop.answer(SessionLink.Request(), ended: .failure(.notConnected)) { [link] in
      ask(link.value, $0)
    }
    switch answer {
    case .success: break
    case .failure(.cancelled): throw CancellationError()
    case .failure(let error): throw error
    }
  }

  /// Waits for the PUBACKs of what was published before, then disconnects: the broker does not publish the will.
  ///
  /// A cancelled task stops waiting; the session ends all the same.
  ///
  /// - Parameters:
  ///   - endSession: the broker forgets the session now, whatever its expiry was.
  ///   - timeout: after it the socket is dropped.
  public func disconnect(endSession: Bool = false, timeout: Duration = .seconds(5)) async {
    await loop.answer(Answer(cancelled: ()), ended: ()) { [link] in
      link.value.leave(endSession: endSession, timeout: timeout, $0)
    }
  }

  /// Drops the socket, as a crash would: the broker publishes the will.
  public func abort() { loop.execute { [link] in link.value.end(.aborted) } }
}
