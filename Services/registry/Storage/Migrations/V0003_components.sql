CREATE TABLE sensor_profile (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL CONSTRAINT sensor_profile_organisation REFERENCES organisation (id),
  name            text NOT NULL,
  config_schemas  jsonb,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  rev             bigint NOT NULL
);
CREATE INDEX sensor_profile_of_organisation ON sensor_profile (organisation_id, id);

CREATE TABLE component (
  id                uuid PRIMARY KEY,
  device            uuid NOT NULL REFERENCES device (id) ON DELETE CASCADE,
  key               text NOT NULL,
  sensor_profile_id uuid NOT NULL CONSTRAINT component_sensor_profile REFERENCES sensor_profile (id),
  name              text,
  rev               bigint NOT NULL,
  CONSTRAINT component_key UNIQUE (device, key)
);
CREATE INDEX component_of_device ON component (device, id);
CREATE INDEX component_of_sensor_profile ON component (sensor_profile_id, id);

CREATE TABLE device_record (
  device uuid PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
  ahead  bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE device_record IS
  'How many more revisions than the device itself the record has that the other services keep of it: one for each change
of its components and groups. Whoever writes it holds the row of the device, or alone the lock of its organisation''s groups.';
