CREATE TABLE client_slot (
  slot        integer PRIMARY KEY CHECK (slot > 0),
  owner       text,
  process     uuid,
  lease_until timestamptz NOT NULL,
  is_leaving  boolean NOT NULL DEFAULT false,
  CHECK ((owner IS NULL) = (process IS NULL))
);
COMMENT ON TABLE client_slot IS
  'MQTT client ids of the uplink, leased by the replicas. One without an owner has no session at the broker; one whose lease ran out may have messages waiting there.';
