-- How many commands there are of each status, without counting them: differences are added by whoever makes or moves
-- commands, in the same statement, and added up later. No key: writers never wait for each other.
CREATE TABLE command_tally (
  organisation_id uuid NOT NULL,
  status          text NOT NULL,
  number          bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2000000000);
CREATE TABLE command_count (
  organisation_id uuid NOT NULL,
  status          text NOT NULL,
  number          bigint NOT NULL,
  PRIMARY KEY (organisation_id, status)
) WITH (fillfactor = 50);
COMMENT ON TABLE command_count IS 'Exact together with command_tally.';
ALTER TABLE open_command ADD COLUMN organisation_id uuid;
UPDATE open_command o SET organisation_id = c.organisation_id FROM command c WHERE c.id = o.id;
INSERT INTO command_count SELECT organisation_id, status, count(*) FROM command GROUP BY organisation_id, status;
