import Observability

/// Writes messages with acks from all in-sync replicas, idempotently: what is reported as delivered is in the log
/// once. Messages of one key keep their order.
///
/// There is no linger: a message leaves at once, and what arrives meanwhile forms the next batch. Set
/// `"linger.ms"` in the configuration's `extra` to wait for more.
public final class KafkaProducer: Sendable {
  private let core: ProducerCore

  /// Makes the client; it connects in the background.
  ///
  /// - Throws: `KafkaError` for a setting that librdkafka refuses.
  public init(configuration: KafkaConfiguration, logger: Logger) throws {
    core = try ProducerCore(configuration, logger)
    try core.start()
  }

  /// Sends all, and returns when each one has its delivery report, in the order given.
  ///
  /// Waits while librdkafka's queue is full and while the broker is away: up to 5 minutes (`message.timeout.ms`),
  /// then the messages are reported as failed. Cancelling the task does not call messages back.
  ///
  /// After a fatal error of the idempotent producer the client is made anew inside, and what was not confirmed is
  /// reported as failed and retryable; it may be in the log, so that sending it again may write it a second time.
  ///
  /// - Throws: `KafkaError` when the producer is shut down.
  public func send(_ messages: [KafkaProducerMessage]) async throws -> [KafkaDelivery] {
    guard !messages.isEmpty else { return [] }
    return try await core.send(messages)
  }

  /// Takes no more messages, waits up to `timeout` until what was sent is confirmed, and frees the client on its
  /// own thread. What is not confirmed by then is reported as failed.
  public func shutdown(timeout: Duration) async {
    core.stop(within: timeout)
    // The bound for the library's own threads to end.
    await core.ended.wait(timeout + .seconds(5))
  }

  deinit { core.stop(within: .zero) }
}
