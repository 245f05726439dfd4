-- Bindings that commands ask for (decision 27). A row stays until nobody asks any more what became of it, so that the same
-- request, told once more, is known.
CREATE TABLE binding_command (
  command_id  uuid PRIMARY KEY,
  -- The order in which they were asked for.
  seq         bigint GENERATED ALWAYS AS IDENTITY,
  device_id   text NOT NULL,
  record_id   uuid NOT NULL,
  request     jsonb,
  traceparent text,
  state       text NOT NULL CHECK (state IN ('NEW', 'FOLLOWING', 'DONE')),
  -- Not before: where something failed by no fault of the request.
  try_at      timestamptz NOT NULL DEFAULT now(),
  stage       integer NOT NULL DEFAULT 0,
  revision    bigint,
  -- {path: hash that the device should have, or null where nothing is left}
  slots       jsonb,
  follow_until timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX binding_command_new ON binding_command (seq) WHERE state = 'NEW';
CREATE INDEX binding_command_new_of_device ON binding_command (device_id, seq) WHERE state = 'NEW';
CREATE INDEX binding_command_following ON binding_command (device_id) WHERE state = 'FOLLOWING';
CREATE INDEX binding_command_end ON binding_command (follow_until);
COMMENT ON TABLE binding_command IS
  'NEW: not begun. FOLLOWING: the binding is made or dropped; such a row is touched only with the lock of its device''s configuration. DONE: its end is told.';
