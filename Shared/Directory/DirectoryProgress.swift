import Kafka
import Loop
import Postgres
import Runtime
import Wire

/// How far the copy is behind the entities topic.
struct DirectoryProgress: Sendable {
  /// Longer than a consumer's session (6 s): so long nobody reads the partitions of a replica that has just gone.
  private static let patience: Duration = .seconds(10)

  let loop: EventLoop
  let database: PostgresClient
  let kafka: KafkaProducer
  let consumer: String

  /// Returns when the copy has reached the end that the topic has now.
  /// - Parameter patience: how long Kafka may take to say where that is.
  /// - Throws: `DirectoryBehind` if that takes too long, or Kafka does not say where the end is.
  func reachEnd(asking patience: Duration = Self.patience) async throws {
    let topic = KafkaTopic.registryEntities.rawValue
    let limit = ContinuousClock.now + Self.patience
    let ends: [Int32: Int64]
    do { ends = try await kafka.endOffsets(topic: topic, timeout: patience) } catch {
      throw DirectoryBehind(reason: .endUnknown("\(error)"))
    }
    while true {
      if try await behind(ends, topic) == 0 { return }
      if ContinuousClock.now >= limit { throw DirectoryBehind(reason: .catchingUp) }
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

/// The copy of the registry is behind, so that "there is none" cannot be said yet.
struct DirectoryBehind: TemporaryError, CustomStringConvertible {
  enum Reason: Sendable {
    /// Kafka does not say where the topic ends.
    case endUnknown(String)
    case catchingUp
  }

  let reason: Reason
  var isTemporary: Bool { true }
  var description: String {
    switch reason {
    case .endUnknown(let error):
      "the directory may be behind: Kafka does not say where the topic ends: \(error)"
    case .catchingUp: "the directory is behind: the copy is being caught up"
    }
  }
}
