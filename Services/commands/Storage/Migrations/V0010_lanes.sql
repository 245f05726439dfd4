-- The order of commands is of a device's lane. An exclusive one holds those behind it in its lane until its end. One that
-- awaits its device is not sent before the device is heard from.
ALTER TABLE command
  ADD COLUMN exclusive boolean NOT NULL DEFAULT false,
  ADD COLUMN wait_ms bigint,
  ADD COLUMN heard_at timestamptz,
  -- A deviceId may be given again: history is the record's. Null for commands from before this column.
  ADD COLUMN device_record uuid;
COMMENT ON COLUMN command.wait_ms IS 'How long at most it waits until its device is heard from; null if it does not.';
COMMENT ON COLUMN command.heard_at IS 'When the device was heard from for which it waited.';
UPDATE command c SET device_record = o.device_record FROM open_command o WHERE o.id = c.id;

ALTER TABLE open_command
  ADD COLUMN lane text,
  ADD COLUMN exclusive boolean NOT NULL DEFAULT false,
  ADD COLUMN awaits_device boolean NOT NULL DEFAULT false;
UPDATE open_command o SET lane = c.lane FROM command c WHERE c.id = o.id;
ALTER TABLE open_command ALTER COLUMN lane SET NOT NULL;
DROP INDEX open_command_waiting;
CREATE INDEX open_command_waiting ON open_command (device_id, lane, seq) WHERE epoch IS NULL;
CREATE INDEX open_command_awaiting ON open_command (device_id) WHERE awaits_device;

-- Beside how often nobody listened, which is a fact of the device: how often in a row a look found that nothing could go.
ALTER TABLE waiting_device ADD COLUMN idle_looks integer NOT NULL DEFAULT 0;
