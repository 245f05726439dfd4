CREATE TABLE organisation (
  id         uuid PRIMARY KEY,
  name       text NOT NULL,
  slug       text NOT NULL CONSTRAINT organisation_slug UNIQUE,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  rev        bigint NOT NULL
);
CREATE INDEX organisation_name ON organisation (name);

CREATE TABLE api_key (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL CONSTRAINT api_key_organisation REFERENCES organisation (id),
  name            text NOT NULL,
  role            text NOT NULL,
  hash            text NOT NULL CONSTRAINT api_key_hash UNIQUE,
  created_at      timestamptz NOT NULL,
  expires_at      timestamptz
);
COMMENT ON COLUMN api_key.hash IS 'SHA-256 of the key, which itself is nowhere kept.';
CREATE INDEX api_key_of_organisation ON api_key (organisation_id, id);

CREATE TABLE board (
  id                uuid PRIMARY KEY,
  organisation_id   uuid NOT NULL CONSTRAINT board_organisation REFERENCES organisation (id),
  name              text NOT NULL,
  description       text NOT NULL,
  soc               text NOT NULL,
  is_public         boolean NOT NULL,
  metadata_fields   jsonb NOT NULL,
  device_type       text,
  config_schemas    jsonb,
  command_catalogue jsonb,
  created_at        timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL,
  rev               bigint NOT NULL,
  -- What devices refer to: the SoC of a board that is in use cannot change.
  CONSTRAINT board_soc UNIQUE (id, soc)
);
CREATE INDEX board_of_organisation ON board (organisation_id, id);
CREATE INDEX board_public ON board (id) WHERE is_public;

CREATE TABLE device (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL CONSTRAINT device_organisation REFERENCES organisation (id),
  board_id        uuid NOT NULL,
  soc             text NOT NULL,
  mcu_id          text NOT NULL,
  device_id       text NOT NULL CONSTRAINT device_device_id UNIQUE,
  name            text,
  metadata        jsonb NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  rev             bigint NOT NULL,
  -- What `q` looks in.
  search          text NOT NULL GENERATED ALWAYS AS (
                    lower(coalesce(name, '') || E'\n' || mcu_id || E'\n' || device_id)) STORED,
  -- In this order it also serves the look-up by mcuId alone.
  CONSTRAINT device_mcu_id UNIQUE (mcu_id, soc),
  CONSTRAINT device_board FOREIGN KEY (board_id, soc) REFERENCES board (id, soc)
);
CREATE INDEX device_of_organisation ON device (organisation_id, id);
CREATE INDEX device_of_board ON device (board_id, id);
CREATE INDEX device_metadata ON device USING gin (metadata jsonb_path_ops);

CREATE TABLE device_unique_metadata (
  board_id uuid NOT NULL,
  name     text NOT NULL,
  value    text NOT NULL,
  device   uuid NOT NULL REFERENCES device (id) ON DELETE CASCADE,
  CONSTRAINT device_unique_metadata_value PRIMARY KEY (board_id, name, value)
);
COMMENT ON TABLE device_unique_metadata IS
  'Values of the metadata fields that a board declares unique: the index keeps them so under concurrent writes.';
CREATE INDEX device_unique_metadata_device ON device_unique_metadata (device);

CREATE TABLE device_state (
  device_id        text PRIMARY KEY REFERENCES device (device_id) ON DELETE CASCADE,
  created_at       timestamptz NOT NULL,
  updated_at       timestamptz NOT NULL,
  attributes       jsonb NOT NULL,
  last_seen_at     timestamptz,
  route            jsonb,
  online           boolean,
  online_at        timestamptz,
  online_source    text,
  connection_epoch bigint NOT NULL DEFAULT 0,
  presence_rev     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.5);
COMMENT ON TABLE device_state IS
  'The latest of each device, apart from its row: no index on what changes, so that updates stay on their page (HOT).';
COMMENT ON COLUMN device_state.attributes IS 'By name {value, at}.';
COMMENT ON COLUMN device_state.route IS 'What the last packet named; null: the device itself was connected.';
