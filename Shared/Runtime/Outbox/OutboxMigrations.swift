import Postgres

extension Outbox {
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
    PostgresMigration(
      name: "V0005_outbox_packed",
      // Rows are short-lived, found by id, and hold bytes of about a page: they are kept whole and are not compressed. What
      // waits is taken along, packed as `PackedRecords` does it, in one row: it is in order.
      sql: """
        CREATE FUNCTION outbox_field(value text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
          SELECT CASE WHEN value IS NULL THEN int4send(-1)
            ELSE int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8') END
        $$;
        ALTER TABLE outbox RENAME TO outbox_unpacked;
        CREATE TABLE outbox (
          id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
          records    bytea NOT NULL
        ) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
                autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2000000000);
        ALTER TABLE outbox ALTER COLUMN records SET STORAGE EXTERNAL, ALTER COLUMN records SET STATISTICS 0;
        COMMENT ON TABLE outbox IS
          'What waits for Kafka: a row for each transaction, with its records packed; deleted when Kafka has them.';
        INSERT INTO outbox (records)
        SELECT string_agg(
          outbox_field(aggregatetype) || outbox_field(aggregateid) || outbox_field(type) || outbox_field(payload)
            || outbox_field(traceparent), ''::bytea ORDER BY id)
        FROM outbox_unpacked HAVING count(*) > 0;
        DROP TABLE outbox_unpacked;
        DROP FUNCTION outbox_field;
        """),
    PostgresMigration(
      name: "V0006_outbox_compressed",
      // A row's records are much alike: LZ4 makes a fifth of them, so that they mostly fit into their page. That halves what a
      // command writes to the log of the database, and costs less than writing it. A server that was built without stays.
      sql: """
        DO $$ BEGIN
          ALTER TABLE outbox ALTER COLUMN records SET STORAGE MAIN, ALTER COLUMN records SET COMPRESSION lz4;
        EXCEPTION WHEN feature_not_supported THEN NULL;
        END $$;
        """),
    PostgresMigration(
      name: "V0007_expect_count",
      // As expect_rows, which replicas from before still call; but the planner puts the comparison in its place, and the
      // language's own machine starts only for a guard that is missed.
      sql: """
        CREATE FUNCTION missed_guard(actual bigint, expected bigint) RETURNS bigint LANGUAGE plpgsql AS $$
          BEGIN
            RAISE EXCEPTION 'a guard was missed: % rows in place of %', actual, expected USING ERRCODE = 'MG001';
          END
        $$;
        CREATE FUNCTION expect_count(actual bigint, expected bigint) RETURNS bigint LANGUAGE sql AS $$
          SELECT CASE WHEN actual = expected THEN actual ELSE missed_guard(actual, expected) END
        $$;
        COMMENT ON FUNCTION expect_count IS
          'Ends a transaction whose update did not find what it was meant for, without a round trip to look.';
        """),
  ]
}
