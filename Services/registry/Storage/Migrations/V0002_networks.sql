CREATE TABLE network (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL CONSTRAINT network_organisation REFERENCES organisation (id),
  name            text NOT NULL,
  description     text NOT NULL,
  key             text NOT NULL,
  network_id      bigint NOT NULL,
  is_public       boolean NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  rev             bigint NOT NULL
);
COMMENT ON COLUMN network.network_id IS 'What devices call it; devices here refer to it by its id.';
CREATE INDEX network_of_organisation ON network (organisation_id, id);
CREATE INDEX network_public ON network (id) WHERE is_public;

ALTER TABLE device ADD COLUMN network_id uuid CONSTRAINT device_network REFERENCES network (id);
CREATE INDEX device_of_network ON device (network_id, id) WHERE network_id IS NOT NULL;

-- An empty value counts as none, and is not compared.
UPDATE device_metadata SET is_unique = false WHERE is_unique AND value = '';

ALTER TABLE board ADD COLUMN command_timeouts jsonb;
