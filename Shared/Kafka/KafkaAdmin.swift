import Loop
import Observability
import Threads

/// A topic to create.
public struct KafkaNewTopic: Sendable {
  /// The topic's name.
  public var name: String
  /// How many partitions it gets.
  public var partitions: Int
  /// How many brokers hold each; -1 is the broker's default.
  public var replication: Int
  /// Topic settings, such as `cleanup.policy`: `compact`.
  public var config: [String: String]

  /// - Parameters:
  ///   - name: the topic's name.
  ///   - partitions: how many partitions it gets.
  ///   - replication: how many brokers hold each; -1 is the broker's default.
  ///   - config: topic settings.
  public init(name: String, partitions: Int, replication: Int = -1, config: [String: String] = [:]) {
    self.name = name
    self.partitions = partitions
    self.replication = replication
    self.config = config
  }
}

/// Asks the cluster about topics and offsets, and creates topics: for tools and tests. Each call has a librdkafka handle
/// of its own, on the loop's helper thread.
public final class KafkaAdmin: Sendable {
  private let configuration: KafkaConfiguration
  private let loop: EventLoop
  private let logger: Logger
  private let ends: TopicEnds
  private let isOver = Locked(false)

  /// - Throws: `KafkaError` for a setting that librdkafka refuses.
  public init(configuration: KafkaConfiguration, loop: EventLoop, logger: Logger) throws {
    try RawHandle.check(configuration.settings([:]))
    (self.configuration, self.loop, self.logger) = (configuration, loop, logger)
    ends = TopicEnds(loop) { try await loop.blocking { try AdminHandle(configuration).raw } }
  }

  /// The offset that each partition's next message will get: what was written before this call lies below.
  /// Calls for one topic that wait at the same time share one request.
  ///
  /// - Throws: `KafkaError`; unknown topics and brokers that are away are retryable.
  public func endOffsets(topic: String, timeout: Duration = .seconds(5)) async throws -> [Int32: Int64] {
    try check()
    return try await ends.ends(of: topic, within: timeout)
  }

  /// Creates topics; one that exists is left as it is, whatever its settings.
  ///
  /// The development broker (`devkafka`) cannot create topics with settings: there they are created with its
  /// default number of partitions.
  ///
  /// - Throws: the first topic's `KafkaError`; the others are created none the less.
  public func createTopics(_ topics: [KafkaNewTopic], timeout: Duration = .seconds(30)) async throws {
    guard !topics.isEmpty else { return }
    try await run { try $0.createTopics(topics, timeout) }
  }

  /// Every topic and how many partitions it has. Also a check of whether the cluster answers.
  ///
  /// - Throws: `KafkaError` when it does not answer in time.
  public func topics(timeout: Duration = .seconds(5)) async throws -> [String: Int] {
    try await run { try $0.raw.metadata(nil, timeout) }
  }

  /// A topic's number of partitions; `nil` if there is no such topic.
  ///
  /// - Throws: `KafkaError` when the cluster does not answer in time.
  public func partitions(of topic: String, timeout: Duration = .seconds(5)) async throws -> Int? {
    try await topics(timeout: timeout)[topic]
  }

  /// The offsets that a group has committed; partitions without one are missing.
  ///
  /// - Throws: `KafkaError`.
  public func committed(
    group: String, partitions: [KafkaPartition], timeout: Duration = .seconds(5)
  ) async throws -> [KafkaPartition: Int64] {
    guard !partitions.isEmpty else { return [:] }
    return try await run { try $0.committed(group, partitions, timeout) }
  }

  /// Later calls fail.
  public func shutdown() async { isOver.withLock { $0 = true } }

  private func check() throws(KafkaError) { if isOver.withLock({ $0 }) { throw .closed } }

  private func run<R: Sendable>(_ body: @escaping @Sendable (AdminHandle) throws -> R) async throws -> R {
    try check()
    return try await loop.blocking { [configuration, logger] in
      let handle = try AdminHandle(configuration)
      defer { handle.serveLog(logger) }
      return try body(handle)
    }
  }
}
