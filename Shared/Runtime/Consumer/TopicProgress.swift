import Kafka
import Loop
import Postgres
import Wire

/// How far what a consumer makes of a topic is behind its end.
public struct TopicProgress: Sendable {
  /// Longer than a consumer's session (6 s): so long nobody reads the partitions of a replica that has just gone.
  public static let patience: Duration = .seconds(10)

  let loop: EventLoop
  let database: PostgresClient
  let kafka: KafkaProducer
  let consumer: String
  let topic: KafkaTopic

  /// - Parameter consumer: its name, under which its offsets are kept in that database.
  public init(
    loop: EventLoop, database: PostgresClient, kafka: KafkaProducer, consumer: String, topic: KafkaTopic
  ) {
    (self.loop, self.database, self.kafka) = (loop, database, kafka)
    (self.consumer, self.topic) = (consumer, topic)
  }

  /// Returns when the consumer has reached the end that the topic has now.
  /// - Parameters:
  ///   - patience: how long Kafka may take to say where that is.
  ///   - total: how long all of it may take.
  /// - Throws: `ConsumerBehind` if that takes too long, or Kafka does not say where the end is.
  public func reachEnd(
    asking patience: Duration = Self.patience, total: Duration = Self.patience
  ) async throws {
    let topic = topic.rawValue
    let limit = ContinuousClock.now + total
    let ends: [Int32: Int64]
    do { ends = try await kafka.endOffsets(topic: topic, timeout: patience) } catch {
      throw ConsumerBehind(reason: .endUnknown("\(error)"))
    }
    while true {
      if try await behind(ends, topic) == 0 { return }
      if ContinuousClock.now >= limit { throw ConsumerBehind(reason: .catchingUp) }
      try await loop.sleep(for: .milliseconds(5))
    }
  }

  /// How many partitions have not reached these offsets.
  private func behind(_ ends: [Int32: Int64], _ topic: String) async throws -> Int {
    let partitions = ends.keys.sorted()
    let rows = try await database.query(
      """
      SELECT count(*) FROM unnest(
        \(partitions)::int[], \(partitions.map { ends[$0] ?? 0 })::bigint[]) AS e ("partition", next_offset)
      LEFT JOIN consumer_offset o
        ON (o.consumer, o.topic, o."partition") = (\(consumer), \(topic), e."partition")
      WHERE COALESCE(o.next_offset, 0) < e.next_offset
      """)
    return Int(try rows.first?.decode(Int64.self) ?? 0)
  }
}

/// A consumer is behind its topic, so that "there is none" cannot be said yet.
public struct ConsumerBehind: TemporaryError, CustomStringConvertible {
  public enum Reason: Sendable {
    /// Kafka does not say where the topic ends.
    case endUnknown(String)
    case catchingUp
  }

  public let reason: Reason
  public var isTemporary: Bool { true }
  public var description: String {
    switch reason {
    case .endUnknown(let error):
      "what is known here may be behind: Kafka does not say where the topic ends: \(error)"
    case .catchingUp: "what is known here is behind: it is being caught up"
    }
  }
}
