import CommandsDomain
import FoundationEssentials
import Postgres
import Wire

/// What belongs to the topics of devices with protocols of their own.
extension CommandStore {
  /// A command's topics and the device that it is for.
  struct Claim: Sendable {
    let own: OwnCommand
    let device: DeviceEntity

    /// All its topics, and whether each becomes the device's.
    fileprivate var topics: [(name: String, isTaken: Bool)] {
      let all = [own.topic] + (own.answerTopic.map { [$0] } ?? [])
      return Set(all).map { name in (name, own.claims.contains { $0.isExactly(name) }) }
    }
  }

  /// Takes the topics of these commands for their organisations.
  ///
  /// A topic that another organisation's device has is refused as long as that device is there. One that names no device is
  /// nobody's, and not taken; it is refused all the same where somebody has it. Before the locks of devices.
  /// - Parameter connection: of a transaction that it is to be a part of.
  /// - Returns: those topics that are another organisation's.
  func claim(_ claims: [Claim], on connection: PostgresConnection? = nil) async throws -> Set<ExactText> {
    let wanted = claims.flatMap { claim in
      claim.topics.map { (name: $0.name, isTaken: $0.isTaken, device: claim.device) }
    }
    .sorted { $0.name < $1.name }
    guard !wanted.isEmpty else { return [] }
    let query: PostgresQuery = """
      WITH input AS MATERIALIZED (
        SELECT DISTINCT ON (topic, organisation_id) * FROM unnest(
          \(wanted.map(\.name))::text[], \(wanted.map(\.isTaken))::boolean[],
          \(wanted.map(\.device.organisationId))::uuid[], \(wanted.map(\.device.id))::uuid[]
        ) AS i (topic, is_taken, organisation_id, device_record) ORDER BY topic, organisation_id, is_taken DESC
      ), taken AS (
        INSERT INTO own_topic (topic, organisation_id, device_record)
        SELECT topic, organisation_id, device_record FROM input WHERE is_taken ORDER BY topic
        ON CONFLICT (topic) DO UPDATE
        SET organisation_id = excluded.organisation_id, device_record = excluded.device_record
        WHERE own_topic.organisation_id = excluded.organisation_id
          OR NOT EXISTS (SELECT FROM directory_device d WHERE d.id = own_topic.device_record)
        RETURNING topic, organisation_id
      )
      SELECT i.topic FROM input i
      WHERE CASE WHEN i.is_taken
        THEN NOT EXISTS (SELECT FROM taken t WHERE t.topic = i.topic AND t.organisation_id = i.organisation_id)
        ELSE EXISTS (
          SELECT FROM own_topic o JOIN directory_device d ON d.id = o.device_record
          WHERE o.topic = i.topic AND o.organisation_id <> i.organisation_id) END
      """
    let rows =
      if let connection { try await connection.query(query) } else { try await database.query(query) }
    return Set(try rows.decode(String.self).map { ExactText($0) })
  }

  /// The topics of devices that are no more are free.
  static func release(_ devices: [UUID]) -> PostgresQuery {
    "DELETE FROM own_topic WHERE device_record = ANY(\(devices)::uuid[])"
  }

  /// What is open of these answer topics, oldest first: what the bridge was given, and what is held until its device is heard from.
  static func open(ofTopics topics: [String]) -> PostgresQuery {
    """
    SELECT o.answer_topic, c.id, c.organisation_id, c.device_id, c.created_at, c.own,
      o.epoch IS NOT NULL OR c.status <> 'PENDING' AS is_given
    FROM unnest(\(topics)::text[]) AS t (name) CROSS JOIN LATERAL (
      SELECT id, answer_topic, epoch, seq, awaits_device FROM open_command w WHERE w.answer_topic = t.name
    ) o JOIN command c ON c.id = o.id
    WHERE o.epoch IS NOT NULL OR c.status <> 'PENDING' OR o.awaits_device ORDER BY o.seq
    """
  }

  static func candidate(_ row: PostgresRow) throws -> (topic: String, candidate: AnswerCandidate)? {
    guard let own = try own(row) else { return nil }
    return (
      try row["answer_topic"].decode(),
      AnswerCandidate(
        id: try row["id"].decode(), organisationId: try row["organisation_id"].decode(),
        deviceId: try row["device_id"].decode(), createdAt: try row["created_at"].decode(),
        answers: own.answers)
    )
  }
}
