import Observability
import Synchronization

/// What an uplink has done so far.
public struct MQTTUplinkCounters: Sendable, Equatable {
  /// Messages read from the broker, repeats included.
  public var received = 0
  /// Batches that `handle` has finished.
  public var batches = 0
  /// Times that `handle` threw.
  public var retries = 0
  /// Batches given up because the connection went before they were handled: the broker sends them again.
  public var dropped = 0
}

/// A connection whose PUBACKs are held until its messages are handled: what the broker sent at QoS 1 is not lost,
/// whatever is killed at any moment.
///
/// An own thread reads until the socket is empty (or `maximumBatch` messages), gives the batch to `handle`, and
/// writes the PUBACKs only after `handle` returned. If `handle` throws it is called again with the same batch after a
/// back-off; if the connection is lost meanwhile, the batch is dropped and the broker sends its messages again. So
/// `handle` sees every message at least once, and repeats are possible.
///
/// While a batch is being handled the thread sends pings past the held PUBACKs, so that a long retry does not cost
/// the connection. With TLS it cannot: then a batch that takes longer than one and a half times the keep-alive does,
/// and its messages come again, so choose the keep-alive with room for what `handle` waits for.
///
/// Give it `cleanStart: false`, a `sessionExpiry` and a stable `clientId`; without these the broker forgets what it
/// had sent when the connection goes. Only QoS 1 messages are held by the broker.
public final class MQTTUplinkSession: Sendable {
  private let core: UplinkCore

  /// An uplink that does nothing until `start()`.
  ///
  /// - Parameters:
  ///   - configuration: where and as whom. Its receive maximum bounds what is unacknowledged, so a batch too.
  ///   - subscriptions: made on every connection, `$share/group/filter` too.
  ///   - maximumBatch: the most messages of a batch; at least 1.
  ///   - logger: for connections lost and refused, and for `handle`'s errors.
  ///   - handle: takes one batch, in the broker's order, and returns when it is safe. Never called twice at a time.
  ///   - onState: on the uplink's thread: copy and leave.
  public init(
    configuration: MQTTConfiguration, subscriptions: [MQTTSubscription], maximumBatch: Int = 1000,
    logger: Logger,
    handle: @escaping @Sendable ([MQTTMessage]) async throws -> Void,
    onState: @escaping @Sendable (MQTTSessionState) -> Void = { _ in }
  ) {
    core = UplinkCore(
      configuration: configuration, subscriptions: subscriptions, maximumBatch: max(1, maximumBatch),
      logger: logger, handle: handle, onState: onState)
  }

  /// An uplink that nobody holds any more stops as by `stop`.
  deinit { core.ask(.stop, deadline: monotonicNanoseconds() + 5_000_000_000, waiter: nil) }

  /// Starts the thread, once.
  public func start() { core.start() }

  /// Whether there is a connection whose subscriptions the broker has answered.
  public var isConnected: Bool { core.isUp.load(ordering: .acquiring) }

  /// What it has done so far.
  public var counters: MQTTUplinkCounters { core.counters.withLock { $0 } }

  /// Leaves for good: ends the subscriptions, handles what the broker had already sent or queued, acknowledges it,
  /// and has the broker forget the session.
  ///
  /// - Returns: whether that was done within `timeout`. If not (no connection, or `handle` kept failing) the broker
  ///   keeps the session with what was not handled, for whoever comes with this client id.
  @discardableResult
  public func leave(timeout: Duration = .seconds(10)) async -> Bool {
    await finish(.leave, timeout)
  }

  /// Stops and keeps the broker's session: messages wait there for the next start with this client id. A batch that is
  /// not handled within `timeout` is given up (its task is cancelled) and comes again.
  public func stop(timeout: Duration = .seconds(5)) async { _ = await finish(.stop, timeout) }

  private func finish(_ wish: UplinkCore.Wish, _ timeout: Duration) async -> Bool {
    let waiter = OneShot<Bool>()
    core.ask(wish, deadline: monotonicNanoseconds() + timeout.nanoseconds, waiter: waiter)
    return (try? await waiter.value()) ?? false
  }
}
