CREATE TABLE uplink_session (
  name        text PRIMARY KEY,
  process     uuid,
  replica     text,
  epoch       bigint NOT NULL DEFAULT 0,
  lease_until timestamptz NOT NULL DEFAULT '-infinity',
  is_up       boolean NOT NULL DEFAULT false,
  CHECK ((process IS NULL) = (replica IS NULL))
);
COMMENT ON TABLE uplink_session IS
  'Sessions that the broker keeps for the bridge: each is read by the one process that holds its lease. epoch grows with each change of the holder.';

INSERT INTO uplink_session (name) VALUES ('status'), ('reported'), ('state');

-- The sessions of the $share design may have messages waiting: they are emptied and ended, then their rows go.
INSERT INTO uplink_session (name) SELECT 'slot-' || slot FROM client_slot WHERE owner IS NOT NULL;
DROP TABLE client_slot;

CREATE TABLE bridge_replica (
  process     uuid PRIMARY KEY,
  name        text NOT NULL,
  is_able     boolean NOT NULL,
  alive_until timestamptz NOT NULL
);
COMMENT ON TABLE bridge_replica IS
  'Who shares the sessions; one that has not renewed its row is gone. is_able: it reaches the broker.';
