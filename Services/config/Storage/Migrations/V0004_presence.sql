-- Whether devices are connected, as far as this service has heard: why one is not where it should be.
CREATE TABLE device_presence (
  device_id text PRIMARY KEY,
  online    boolean NOT NULL,
  -- When that became so, as the suite heard of it.
  since     timestamptz NOT NULL
) WITH (fillfactor = 70);
