import Observability

/// Writes messages with acks from all in-sync replicas, idempotently: what is reported as delivered is in the log
/// once. Messages of one key keep their order.
///
/// There is no linger: a message leaves at once, and what arrives meanwhile forms the next batch. Set
/// `"linger.ms"` in the configuration's `extra` to wait for more.
public final class KafkaProducer: Sendable {
  private let cores: [ProducerCore]

  /// Makes the clients; they connect in the background.
  ///
  /// - Parameter connections: how many to each broker. A broker answers the requests of a connection one by one, and
  ///   librdkafka 2.0.2 sends one for each partition: a batch for many partitions is done sooner over several. Each
  ///   key has its own; where the number divides that of the partitions, each partition has, and requests become no
  ///   more.
  /// - Throws: `KafkaError` for a setting that librdkafka refuses.
  public init(configuration: KafkaConfiguration, connections: Int = 1, logger: Logger) throws {
    cores = try (0..<max(1, connections)).map { _ in try ProducerCore(configuration, logger) }
    do { for core in cores { try core.start() } } catch {
      for core in cores { core.stop(within: .zero) }
      throw error
    }
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
    guard cores.count > 1 else { return try await cores[0].send(messages) }
    var lanes: [[Int]] = Array(repeating: [], count: cores.count)
    for (index, message) in messages.enumerated() { lanes[lane(of: message.key)].append(index) }
    if let lane = lanes.firstIndex(where: { $0.count == messages.count }) {
      return try await cores[lane].send(messages)
    }
    return try await withThrowingTaskGroup(of: (Int, [KafkaDelivery]).self) { [lanes] group in
      for (lane, indices) in lanes.enumerated() where !indices.isEmpty {
        group.addTask { (lane, try await self.cores[lane].send(indices.map { messages[$0] })) }
      }
      var deliveries = Array(repeating: KafkaDelivery.failed(.closed), count: messages.count)
      for try await (lane, results) in group {
        for (index, result) in zip(lanes[lane], results) { deliveries[index] = result }
      }
      return deliveries
    }
  }

  private func lane(of key: [UInt8]?) -> Int { key.map { Murmur2.positive($0) % cores.count } ?? 0 }

  /// Takes no more messages, waits up to `timeout` until what was sent is confirmed, and frees the clients on their
  /// own threads. What is not confirmed by then is reported as failed.
  public func shutdown(timeout: Duration) async {
    for core in cores { core.stop(within: timeout) }
    // The bound for the library's own threads to end.
    for core in cores { await core.ended.wait(timeout + .seconds(5)) }
  }

  deinit { for core in cores { core.stop(within: .zero) } }
}
