import Observability

/// One member of a consumer group. It is pulled: nothing is fetched into the program but what `nextBatch` asks for
/// (and at most 16 MiB ahead in the library).
///
/// Offsets are the caller's: on each assignment `startOffsets` gives those to start from, best read from where the
/// data is stored. Rebalances happen within `nextBatch`, so keep calling it; after 5 minutes without a call
/// (`max.poll.interval.ms`) the group gives the partitions to others, and the next call joins again.
public final class KafkaConsumer: Sendable {
  private let core: ConsumerCore

  /// Makes the client; it joins the group in the background from the first `nextBatch` on.
  ///
  /// - Parameters:
  ///   - group: the consumer group.
  ///   - instanceId: a stable name of this member's slot: after a restart within `sessionTimeout` it has its
  ///     partitions back at once. Two living members must not share one.
  ///   - topics: the topics to read; one that does not exist yet is read when it does.
  ///   - sessionTimeout: after this time without a heartbeat a member counts as dead; at least what the broker
  ///     allows (6 s by default).
  ///   - gathering: how long the broker may hold messages back to hand many out at once. Zero where latency counts:
  ///     then each record that is written ends a fetch, of which a broker on two cores manages a few thousand a second.
  ///   - startOffsets: gives the next offset to read for newly assigned partitions; one that is missing starts at
  ///     the earliest. If it throws or takes over 30 s it is asked again, with back-off.
  /// - Throws: `KafkaError` for a setting that librdkafka refuses.
  public init(
    configuration: KafkaConfiguration, group: String, instanceId: String?, topics: [String],
    sessionTimeout: Duration = .seconds(6), gathering: Duration = .zero, logger: Logger,
    startOffsets: @escaping @Sendable ([KafkaPartition]) async throws -> [KafkaPartition: Int64]
  ) throws {
    core = try ConsumerCore(startOffsets, logger.with(["group": group])) {
      try ConsumerHandle(
        configuration, group: group, instanceId: instanceId, sessionTimeout: sessionTimeout,
        gathering: gathering, topics: topics, logger: logger)
    }
    try core.start()
  }

  /// Returns as soon as anything is there, with all that is there, in each partition's order; after `wait` it
  /// returns nothing. No message of a partition is returned after the partition was taken away.
  ///
  /// Cancelling loses no message: what was already read is returned by the next call.
  ///
  /// - Parameters:
  ///   - maximumCount: at most so many messages; at least 1.
  ///   - wait: how long to wait for the first message.
  /// - Throws: `CancellationError`; a fatal `KafkaError`; a `KafkaError` when the consumer is closed. A broker that is
  ///   away is waited for, not thrown. Another member that takes this one's `instanceId` is fatal the second time
  ///   within a minute: the first time the member joins again, since a broker that has come back also says so to a
  ///   member whose commit it gets from before.
  public func nextBatch(maximumCount: Int, wait: Duration) async throws -> [KafkaMessage] {
    try await core.nextBatch(max(1, maximumCount), wait)
  }

  /// Tells Kafka the next offsets to read, for lag monitors: within 200 ms, without waiting for an answer. What is
  /// no longer assigned by then is left out.
  public func commit(_ next: [KafkaPartition: Int64]) { core.commit(next) }

  /// Tells Kafka the next offsets to read, and waits up to 10 s for its answer.
  ///
  /// - Throws: `KafkaError`, for instance when the partition is another member's by now.
  public func commitAndWait(_ next: [KafkaPartition: Int64]) async throws {
    guard !next.isEmpty else { return }
    try await core.run { .commit(next, $0) }
  }

  /// Goes on at other offsets, as after a failure: the next `nextBatch` starts there. Partitions that are not
  /// assigned are left out, since they will start where `startOffsets` says.
  ///
  /// - Throws: `KafkaError` when librdkafka could not do it within 2 s.
  public func seek(_ to: [KafkaPartition: Int64]) async throws {
    guard !to.isEmpty else { return }
    try await core.run { .seek(to, $0) }
  }

  /// The partitions that this member has now.
  public var assignment: Set<KafkaPartition> { core.assignment }

  /// Leaves the group and frees the client, on its own thread. A member with an `instanceId` keeps its partitions
  /// until its session runs out. Returns after `timeout` (and a little) at the latest; the client then goes on
  /// closing in the background.
  public func close(timeout: Duration) async {
    core.close(within: timeout)
    await core.ended.wait(timeout + .seconds(1))
  }

  /// For tests: ends without leaving the group, as a crash would.
  func crash() async {
    core.close(within: .zero, isCrash: true)
    await core.ended.wait(.seconds(10))
  }

  deinit { core.close(within: .seconds(5)) }
}
