-- The newest connection of a bridge to the broker (its announcement's offset): what was handed over before it may be lost,
-- and is given its turn again.
CREATE TABLE broker_epoch (
  one   boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch bigint NOT NULL,
  -- How far the walk has come that wakes the devices of what is older; null when it is done.
  walked_device text,
  walked_seq    bigint
);
INSERT INTO broker_epoch (epoch) VALUES (0);

-- Turns are numbered, so that the bridge can tell what was handed over before it gave something back.
CREATE SEQUENCE turn_number;

-- Devices with commands that wait for their turn, and when to look at them: what has to be looked at costs, not what waits.
CREATE TABLE waiting_device (
  device_id text PRIMARY KEY,
  try_at    timestamptz NOT NULL,
  -- How often in a row nothing could be done for it.
  failures  integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
CREATE INDEX waiting_device_try ON waiting_device (try_at);
INSERT INTO waiting_device (device_id, try_at) SELECT DISTINCT device_id, now() FROM open_command WHERE NOT dispatched;

-- In which epoch it was handed to the bridge; null while it waits. What is of an older epoch waits again.
ALTER TABLE open_command ADD COLUMN epoch bigint;
UPDATE open_command SET epoch = 0 WHERE dispatched;
DROP INDEX open_command_device, open_command_waiting;
ALTER TABLE open_command DROP COLUMN dispatched, DROP COLUMN refusals;
CREATE INDEX open_command_waiting ON open_command (device_id, seq) WHERE epoch IS NULL;
CREATE INDEX open_command_given ON open_command (device_id, seq) WHERE epoch IS NOT NULL;
