import FoundationEssentials
import Postgres
import Wire

/// The table of records that wait for Kafka: written in the transaction that they tell of (DESIGN, section 2.2).
///
/// Its columns are those that Debezium's outbox router expects; `aggregatetype` holds the topic, `aggregateid` the
/// Kafka key.
public enum Outbox {
  /// The statement that adds records, in order; it returns their ids and times.
  static func insert(_ events: [Event]) -> PostgresQuery {
    """
    INSERT INTO outbox (aggregatetype, aggregateid, type, payload, traceparent)
    SELECT * FROM unnest(
      \(events.map(\.topic.rawValue))::text[], \(events.map(\.key))::text[], \(events.map(\.type))::text[],
      \(events.map { $0.payload.map { String(decoding: $0, as: UTF8.self) } })::text[],
      \(events.map(\.traceparent))::text[])
    RETURNING id, created_at
    """
  }

  /// A record that waits.
  struct Row: Sendable {
    let id: Int64
    let event: Event
    let createdAt: Date
  }

  private static let columns = "id, aggregatetype, aggregateid, type, payload, traceparent, created_at"

  /// The oldest records after `last`, and those of `missing` that have come; in no order.
  static func select(after last: Int64, or missing: [Int64], limit: Int) -> PostgresQuery {
    """
    SELECT \(unescaped: columns) FROM outbox WHERE id = ANY(\(missing)::bigint[])
    UNION ALL
    (SELECT \(unescaped: columns) FROM outbox WHERE id > \(last) ORDER BY id LIMIT \(Int64(limit)))
    """
  }

  /// The ids of what is left after `floor` and not after `last`.
  static func left(after floor: Int64, upTo last: Int64, limit: Int) -> PostgresQuery {
    "SELECT id FROM outbox WHERE id > \(floor) AND id <= \(last) ORDER BY id LIMIT \(Int64(limit))"
  }

  /// Forgets records that Kafka has, without waiting for the disk: one that comes back is only published again.
  static func delete(_ ids: [Int64]) -> [PostgresQuery] {
    [
      "SELECT set_config('synchronous_commit', 'off', true)",
      "DELETE FROM outbox WHERE id = ANY(\(ids)::bigint[])",
    ]
  }

  /// How many of these still wait.
  static func waiting(_ ids: [Int64]) -> PostgresQuery {
    "SELECT count(*) FROM outbox WHERE id = ANY(\(ids)::bigint[])"
  }

  /// The table of the runtime: one migration set, in every service that publishes or consumes.
  public static let migrations = [
    PostgresMigration(
      name: "V0001_outbox",
      sql: """
        CREATE TABLE outbox (
          id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          aggregatetype text NOT NULL,
          aggregateid   text NOT NULL,
          type          text NOT NULL,
          payload       text,
          traceparent   text,
          created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
                autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000);
        COMMENT ON TABLE outbox IS
          'Records for Kafka, written with the change they tell of, deleted when Kafka has them.';
        """),
    PostgresMigration(
      name: "V0002_consumer_offset",
      sql: """
        CREATE TABLE consumer_offset (
          consumer    text NOT NULL,
          topic       text NOT NULL,
          "partition" integer NOT NULL,
          next_offset bigint NOT NULL,
          PRIMARY KEY (consumer, topic, "partition")
        ) WITH (fillfactor = 50);
        COMMENT ON TABLE consumer_offset IS
          'How far each Kafka partition has been applied: moved in the transaction that applies it.';
        """),
    PostgresMigration(
      name: "V0003_expect_rows",
      sql: """
        CREATE FUNCTION expect_rows(actual bigint, expected bigint) RETURNS void LANGUAGE plpgsql AS $$
          BEGIN
            IF actual <> expected THEN
              RAISE EXCEPTION 'a guard was missed: % rows in place of %', actual, expected USING ERRCODE = 'MG001';
            END IF;
          END
        $$;
        COMMENT ON FUNCTION expect_rows IS
          'Ends a transaction whose update did not find what it was meant for, without a round trip to look.';
        """),
    PostgresMigration(
      name: "V0004_outbox_vacuum",
      // Its rows live for milliseconds and are found by their id alone: no statistics, and a sweep now and then.
      sql: """
        ALTER TABLE outbox SET (autovacuum_vacuum_threshold = 100000, autovacuum_analyze_threshold = 2000000000,
          autovacuum_vacuum_insert_threshold = -1);
        """),
  ]
}
