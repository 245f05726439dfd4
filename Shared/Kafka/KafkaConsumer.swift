import Loop
import Observability

/// One member of a consumer group, for any number of topics. It is pulled: nothing is fetched into the program but what
/// `nextBatch` asks for (and at most 16 MiB of each topic ahead in the library). Topics do not hold each other up.
///
/// One librdkafka handle, and no thread but the library's. Offsets are the caller's: on each assignment `startOffsets`
/// gives those to start from, best read from where the data is stored. Rebalances happen whether anything is read or not;
/// but after 5 minutes without a `nextBatch` of any topic (`max.poll.interval.ms`) the group takes the partitions away
/// for a moment.
public final class KafkaConsumer: Sendable {
  private let loop: EventLoop
  private let core: ConsumerCore

  /// Makes the client; it joins the group in the background.
  ///
  /// - Parameters:
  ///   - group: the consumer group.
  ///   - instanceId: a stable name of this member's slot: after a restart within `sessionTimeout` it has its
  ///     partitions back at once. Two living members must not share one.
  ///   - topics: the topics to read; one that does not exist yet is read when it does.
  ///   - headers: the names of the headers that messages are given; `nil` for all of them.
  ///   - sessionTimeout: after this time without a heartbeat a member counts as dead; at least what the broker
  ///     allows (6 s by default).
  ///   - fetchWait: how long the broker may hold messages back to hand many out at once. Zero where latency counts:
  ///     then each record that is written ends a fetch, of which a broker on two cores manages a few thousand a second.
  ///   - gathering: the least time between two batches of a topic, in a crowd.
  ///   - startOffsets: gives the next offset to read for newly assigned partitions; one that is missing starts at
  ///     the earliest. If it throws or takes over 30 s it is asked again, with back-off. `nil`: those that the group has
  ///     committed to Kafka.
  /// - Throws: `KafkaError` for a setting that librdkafka refuses.
  public init(
    configuration: KafkaConfiguration, loop: EventLoop, group: String, instanceId: String?, topics: [String],
    headers: [String]? = nil, sessionTimeout: Duration = .seconds(6), fetchWait: Duration = .zero,
    gathering: Duration = .milliseconds(5), logger: Logger,
    startOffsets: (@Sendable ([KafkaPartition]) async throws -> [KafkaPartition: Int64])?
  ) throws {
    let make = { @Sendable () throws(KafkaError) in
      try RawHandle.consumer(
        configuration, group: group, instanceId: instanceId, sessionTimeout: sessionTimeout,
        fetchWait: fetchWait)
    }
    let raw = try make()
    let core = ConsumerCore(
      loop, topics: topics, headers: headers, gathering: gathering, logger.with(["group": group]),
      startOffsets,
      makeRaw: make)
    (self.loop, self.core) = (loop, core)
    loop.execute { core.assumeIsolated { $0.open(raw) } }
  }

  /// Returns when anything is there, with all that is there, in each partition's order: at once when little goes on, in
  /// a crowd with what has come in a window. After `wait` it returns nothing. No message of a partition is returned after
  /// the partition was taken away.
  ///
  /// Cancelling loses no message: what was already read is returned by the next call.
  ///
  /// - Parameters:
  ///   - topic: whose messages; `nil` for those of all topics.
  ///   - maximumCount: at most so many messages; at least 1.
  ///   - wait: how long to wait for the first message.
  /// - Throws: `CancellationError`; a fatal `KafkaError`; a `KafkaError` when the consumer is closed. A broker that is
  ///   away is waited for, not thrown. Another member that takes this one's `instanceId` is fatal the second time
  ///   within a minute: the first time the member joins again, since a broker that has come back also says so to a
  ///   member whose commit it gets from before.
  public func nextBatch(topic: String? = nil, maximumCount: Int, wait: Duration) async throws
    -> [KafkaMessage]
  {
    try await core.nextBatch(topic, max(1, maximumCount), wait)
  }

  /// Tells Kafka the next offsets to read, for lag monitors: within 200 ms, without waiting for an answer. What is
  /// no longer assigned by then is left out.
  public func commit(_ next: [KafkaPartition: Int64]) {
    loop.execute { [core] in core.assumeIsolated { $0.commit(next) } }
  }

  /// Tells Kafka the next offsets to read, and waits up to 10 s for its answer.
  ///
  /// - Throws: `KafkaError`, for instance when the partition is another member's by now.
  public func commitAndWait(_ next: [KafkaPartition: Int64]) async throws {
    guard !next.isEmpty else { return }
    try await core.commitAndWait(next)
  }

  /// Goes on at other offsets, as after a failure: the next `nextBatch` starts there. Partitions that are not
  /// assigned are left out, since they will start where `startOffsets` says.
  ///
  /// - Throws: `KafkaError` when librdkafka could not do it within 2 s.
  public func seek(_ to: [KafkaPartition: Int64]) async throws { try await core.seek(to) }

  /// The partitions that this member has now.
  public var assignment: Set<KafkaPartition> { core.assignment.withLock { $0 } }

  /// Leaves the group and frees the client, on the loop's helper thread. A member with an `instanceId` keeps its
  /// partitions until its session runs out. Returns after `timeout` (and a little) at the latest; the client then goes on
  /// closing in the background.
  public func close(timeout: Duration) async { await core.close(within: timeout) }

  /// For tests: ends without leaving the group, as a crash would.
  func crash() async { await core.close(within: .zero, isCrash: true) }

  deinit {
    let core = core
    loop.task { await core.close(within: .seconds(5)) }
  }
}
