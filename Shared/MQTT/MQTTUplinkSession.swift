import Loop
import Observability
import Synchronization

/// A connection whose PUBACKs are held until its messages are handled: what the broker sent at QoS 1 is not lost,
/// whatever is killed at any moment.
///
/// It reads until the socket is empty (or `maximumBatch` messages), gives the batch to `handle`, and writes the PUBACKs
/// only after `handle` returned. If `handle` throws it is called again with the same batch after a back-off; if the
/// connection is lost meanwhile, the batch is dropped and the broker sends its messages again. So `handle` sees every
/// message at least once, and repeats are possible.
///
/// While a batch is being handled pings are sent past the held PUBACKs, so that a long retry does not cost the
/// connection. With TLS that cannot be: then a batch that takes longer than one and a half times the keep-alive does,
/// and its messages come again, so choose the keep-alive with room for what `handle` waits for.
///
/// Give it `cleanStart: false`, a `sessionExpiry` and a stable `clientId`; without these the broker forgets what it
/// had sent when the connection goes. Only QoS 1 messages are held by the broker. An uplink that has ended is not
/// started again: a new one with the same client id goes on where it stopped.
public final class MQTTUplinkSession: Sendable {
  private let loop: EventLoop
  private let link: LoopBound<UplinkLink>
  private let standing = Standing()
  private let tally = UplinkTally()

  /// An uplink that does nothing until `start()`.
  ///
  /// - Parameters:
  ///   - configuration: where and as whom. Its receive maximum bounds what is unacknowledged, so a batch too.
  ///   - loop: where it lives; any number of uplinks and sessions share one.
  ///   - subscriptions: made on every connection, `$share/group/filter` too.
  ///   - maximumBatch: the most messages of a batch; at least 1.
  ///   - maximumBytes: a batch with so many bytes of payload takes no more.
  ///   - window: in a crowd batches begin at most once in this time.
  ///   - patience: when it is quiet, how long a batch of this message may wait for what probably follows it; one with a message
  ///     that waits for nothing (the default: none does) begins at once.
  ///   - logger: for connections lost and refused, and for `handle`'s errors.
  ///   - reconnects: whether it tries again when the connection is lost or was not made. Where several take turns with
  ///     a client id it must not: Mosquitto 2.0.11 closes the connection of one that was taken over without a word, and
  ///     two that try again take it from each other for ever.
  ///   - handle: takes one batch, in the broker's order, and returns when it is safe. Never called twice at a time; on
  ///     the loop.
  ///   - onState: on the loop.
  public init(
    configuration: MQTTConfiguration, loop: EventLoop, subscriptions: [MQTTSubscription],
    maximumBatch: Int = 1000, maximumBytes: Int = 8 << 20, window: Duration = .milliseconds(5),
    patience: @escaping @Sendable (MQTTMessage) -> Duration = { _ in .zero }, logger: Logger,
    reconnects: Bool = true,
    handle: @escaping @Sendable ([MQTTMessage]) async throws -> Void,
    onState: @escaping @Sendable (MQTTSessionState) -> Void = { _ in }
  ) {
    self.loop = loop
    link = LoopBound(
      loop,
      UplinkLink(
        configuration: configuration, loop: loop, subscriptions: subscriptions,
        limits: UplinkLink.Limits(messages: max(1, maximumBatch), bytes: maximumBytes),
        gathering: Gathering(loop, atMost: window), patience: patience, logger: logger, standing: standing,
        tally: tally, reconnects: reconnects, handle: handle, onState: onState))
  }

  /// An uplink that nobody holds any more stops as by `stop`.
  deinit {
    loop.execute { [link] in
      link.value.finish(.stop, timeout: .seconds(5), Answer(cancelled: true))
    }
  }

  /// Begins to connect, once.
  public func start() { loop.execute { [link] in link.value.begin() } }

  /// Whether there is a connection whose subscriptions the broker has answered.
  public var isConnected: Bool { standing.isUp.load(ordering: .acquiring) }

  /// What it has done so far.
  public var counters: MQTTUplinkCounters { tally.counters }

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

  private func finish(_ wish: UplinkLink.Wish, _ timeout: Duration) async -> Bool {
    await loop.answer(Answer(cancelled: false), ended: false) { [link] in
      link.value.finish(wish, timeout: timeout, $0)
    }
  }
}
