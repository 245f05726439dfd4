-- A command and all of its story. After its creation only columns that no index knows change, and a page has room for
-- that (HOT): an update touches no index.
CREATE TABLE command (
  id                  uuid PRIMARY KEY,
  -- The order of creation, over all replicas.
  seq                 bigint GENERATED ALWAYS AS IDENTITY,
  organisation_id     uuid NOT NULL,
  device_id           text NOT NULL,
  hardware_id         text NOT NULL,
  device_type         text,
  type                text NOT NULL,
  params              jsonb NOT NULL,
  lane                text NOT NULL,
  created_at          timestamptz NOT NULL,
  created_by          text NOT NULL,
  deliver_seconds     integer NOT NULL,
  acknowledge_seconds integer NOT NULL,
  complete_seconds    integer NOT NULL,
  traceparent         text,
  status              text NOT NULL
    CHECK (status IN ('PENDING', 'SENT', 'ACKNOWLEDGED', 'SUCCESS', 'FAILED', 'TIMEOUT')),
  reason              text,
  sent_at             timestamptz,
  acknowledged_at     timestamptz,
  completed_at        timestamptz,
  deadline            timestamptz,
  attempts            integer NOT NULL,
  result              jsonb,
  error_code          text,
  error_message       text,
  late_outcome        jsonb,
  rev                 bigint NOT NULL,
  timeline            jsonb NOT NULL,
  -- Level, not edge: an open command without a deadline cannot exist.
  CHECK ((deadline IS NOT NULL) = (status IN ('PENDING', 'SENT', 'ACKNOWLEDGED')))
) WITH (fillfactor = 60);
CREATE INDEX command_device ON command (device_id, seq);
CREATE INDEX command_organisation ON command (organisation_id, seq);

-- What the sweeper and the redelivery look at: one narrow row for each open command, gone when it is final.
CREATE TABLE open_command (
  id         uuid PRIMARY KEY,
  seq        bigint NOT NULL,
  device_id  text NOT NULL,
  -- When to look at it at the latest: never after its deadline, often before, since a deadline that moves on is
  -- not written here.
  look_at    timestamptz NOT NULL,
  -- False while it waits for its turn: behind others of its device, or because nobody listened.
  dispatched boolean NOT NULL,
  -- How often nobody listened.
  refusals   integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000);
CREATE INDEX open_command_look ON open_command (look_at);
CREATE INDEX open_command_device ON open_command (device_id, seq);
CREATE INDEX open_command_waiting ON open_command (device_id, seq) WHERE NOT dispatched;
