import Loop
import Observability

/// Writes messages with acks from all in-sync replicas, idempotently: what is reported as delivered is in the log
/// once. Messages of one key keep their order.
///
/// One librdkafka handle, and no thread but the library's. What is sent in one turn of the loop leaves together at its
/// end, at once; in a crowd, what is sent in a window. A partition or topic that cannot be written to holds up its own
/// messages and no others.
public final class KafkaProducer: Sendable {
  /// How long messages may gather in a crowd, unless told otherwise.
  public static let window: Duration = .milliseconds(20)

  /// When the reports that a message is in the log are read.
  public enum Reading: Sendable {
    /// As soon as they are there.
    case atOnce
    /// When the loop is awake anyway, and after 2 ms, with Kafka away after 100 ms at most: for programs in which nobody
    /// waits for them but what is to be sent next with the same key. A wake-up costs the machine some 30 µs of CPU at
    /// rest, and each batch of messages is one.
    case inPassing
  }

  private let loop: EventLoop
  private let core: ProducerCore
  private let ends: TopicEnds

  /// Makes the client; it connects in the background.
  ///
  /// - Parameter gathering: how long a message may wait for others, in a crowd. librdkafka 2.0.2 sends a request for each
  ///   partition: wide batches cut the broker's CPU to a third.
  /// - Parameter reading: when `send` returns after its messages are in the log.
  /// - Throws: `KafkaError` for a setting that librdkafka refuses.
  public convenience init(
    configuration: KafkaConfiguration, loop: EventLoop, logger: Logger,
    gathering: Duration = window, reading: Reading = .atOnce
  ) throws {
    try self.init(
      configuration: configuration, loop: loop, logger: logger, gathering: gathering, reading: reading,
      budget: 1000)
  }

  /// - Parameter budget: how many delivery reports are served in a turn.
  init(
    configuration: KafkaConfiguration, loop: EventLoop, logger: Logger, gathering: Duration,
    reading: Reading, budget: Int
  ) throws {
    let core = ProducerCore(
      configuration, loop, logger, gathering: gathering, reading: reading, budget: budget)
    let raw = try ProducerHandle.raw(configuration)
    (self.loop, self.core) = (loop, core)
    ends = TopicEnds(loop) { try await core.current() }
    loop.execute { core.assumeIsolated { $0.open(raw) } }
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

  /// The offset that each partition's next message will get: what was written before this call lies below.
  /// Calls for one topic that wait at the same time share one request.
  ///
  /// - Throws: `KafkaError`; unknown topics and brokers that are away are retryable.
  public func endOffsets(topic: String, timeout: Duration = .seconds(5)) async throws -> [Int32: Int64] {
    try await ends.ends(of: topic, within: timeout)
  }

  /// Takes no more messages, waits up to `timeout` until what was sent is confirmed, and frees the client on the loop's
  /// helper thread. What is not confirmed by then is reported as failed.
  public func shutdown(timeout: Duration) async { await core.shutdown(within: timeout) }

  /// For tests: raises a fatal error as the broker's would.
  func raiseFatal() async { await core.raiseFatal() }

  deinit {
    let core = core
    loop.task { await core.shutdown(within: .zero) }
  }
}
