import Observability

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

/// Asks the cluster about topics and offsets, and creates topics. Calls wait for one another on one own thread.
public final class KafkaAdmin: Sendable {
  private let core: AdminCore

  /// Makes the client; it connects in the background.
  ///
  /// - Throws: `KafkaError` for a setting that librdkafka refuses.
  public init(configuration: KafkaConfiguration, logger: Logger) throws {
    core = try AdminCore(configuration, logger)
    try core.start()
  }

  /// The offset that each partition's next message will get: what was written before this call lies below.
  /// Calls for one topic that wait at the same time share one request.
  ///
  /// - Throws: `KafkaError`; unknown topics and brokers that are away are retryable.
  public func endOffsets(topic: String, timeout: Duration = .seconds(5)) async throws -> [Int32: Int64] {
    try await core.endOffsets(topic, timeout)
  }

  /// Creates topics; one that exists is left as it is, whatever its settings.
  ///
  /// The development broker (`devkafka`) cannot create topics with settings: there they are created with its
  /// default number of partitions.
  ///
  /// - Throws: the first topic's `KafkaError`; the others are created none the less.
  public func createTopics(_ topics: [KafkaNewTopic], timeout: Duration = .seconds(30)) async throws {
    guard !topics.isEmpty else { return }
    try await core.run { try $0.createTopics(topics, timeout) }
  }

  /// Every topic and how many partitions it has. Also a check of whether the cluster answers.
  ///
  /// - Throws: `KafkaError` when it does not answer in time.
  public func topics(timeout: Duration = .seconds(5)) async throws -> [String: Int] {
    try await core.run { try $0.metadata(nil, timeout) }
  }

  /// A topic's number of partitions; `nil` if there is no such topic.
  ///
  /// - Throws: `KafkaError` when the cluster does not answer in time.
  public func partitions(of topic: String, timeout: Duration = .seconds(5)) async throws -> Int? {
    try await core.run { try $0.metadata(nil, timeout)[topic] }
  }

  /// The offsets that a group has committed; partitions without one are missing.
  ///
  /// - Throws: `KafkaError`.
  public func committed(
    group: String, partitions: [KafkaPartition], timeout: Duration = .seconds(5)
  ) async throws -> [KafkaPartition: Int64] {
    guard !partitions.isEmpty else { return [:] }
    return try await core.run { try $0.committed(group, partitions, timeout) }
  }

  /// Frees the client, on its own thread; calls that wait fail.
  public func shutdown() async {
    core.stop()
    await core.ended.wait(.seconds(10))
  }

  deinit { core.stop() }
}
