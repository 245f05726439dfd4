import Kafka
import Postgres

/// How far a consumer has applied each partition, kept beside the data that it makes (DESIGN, section 2.3).
public struct ConsumerOffsets: Sendable {
  /// The consumer's name in its schema.
  public let consumer: String

  public init(consumer: String) { self.consumer = consumer }

  /// A step forward of one partition.
  struct Move: Sendable {
    let partition: KafkaPartition
    let expected: Int64
    let next: Int64
  }

  /// The stored offsets of these partitions; those that have none yet begin at 0.
  func load(_ partitions: [KafkaPartition], from database: PostgresClient) async throws -> [KafkaPartition:
    Int64]
  {
    let topics = partitions.map(\.topic)
    let numbers = partitions.map { Int32($0.partition) }
    let rows = try await database.query(
      """
      WITH wanted AS (SELECT * FROM unnest(\(topics)::text[], \(numbers)::int[]) AS w (topic, "partition")),
      made AS (
        INSERT INTO consumer_offset (consumer, topic, "partition", next_offset)
        SELECT \(consumer), topic, "partition", 0 FROM wanted ON CONFLICT DO NOTHING
      )
      SELECT w.topic, w."partition", COALESCE(o.next_offset, 0) FROM wanted w
      LEFT JOIN consumer_offset o ON (o.consumer, o.topic, o."partition") = (\(consumer), w.topic, w."partition")
      """)
    var offsets: [KafkaPartition: Int64] = [:]
    for row in rows {
      let (topic, partition, next) = try row.decode((String, Int32, Int64).self)
      offsets[KafkaPartition(topic: topic, partition: partition)] = next
    }
    return offsets
  }

  /// Moves the offsets of one topic on, each only from where this consumer believes it to be; a missed guard, if
  /// another replica has taken a partition over.
  func move(_ moves: [Move], of topic: String) -> PostgresQuery {
    // In one order, so that two replicas never wait for each other in a circle.
    let moves = moves.sorted { $0.partition.partition < $1.partition.partition }
    return """
      WITH moved AS (
        UPDATE consumer_offset o SET next_offset = m.next
        FROM unnest(
          \(moves.map { Int32($0.partition.partition) })::int[], \(moves.map(\.expected))::bigint[],
          \(moves.map(\.next))::bigint[]) AS m ("partition", expected, next)
        WHERE o.consumer = \(consumer) AND o.topic = \(topic) AND o."partition" = m."partition"
          AND o.next_offset = m.expected
        RETURNING 1
      )
      SELECT expect_count(count(*), \(Int64(moves.count))) FROM moved
      """
  }
}
