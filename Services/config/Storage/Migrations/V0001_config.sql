CREATE TABLE artefact (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL,
  profile_type    text NOT NULL,
  profile_id      uuid NOT NULL,
  slot            text NOT NULL,
  version         bigint NOT NULL,
  sha256          text NOT NULL,
  size            bigint NOT NULL,
  content_type    text NOT NULL,
  content         text NOT NULL,
  created_at      timestamptz NOT NULL,
  created_by      text NOT NULL,
  UNIQUE (organisation_id, profile_type, profile_id, slot, version)
);
CREATE INDEX artefact_page ON artefact (organisation_id, id);
COMMENT ON COLUMN artefact.content IS 'Canonical JSON (RFC 8785): what sha256 is the hash of.';

CREATE TABLE artefact_counter (
  organisation_id uuid NOT NULL,
  profile_type    text NOT NULL,
  profile_id      uuid NOT NULL,
  slot            text NOT NULL,
  last_version    bigint NOT NULL,
  PRIMARY KEY (organisation_id, profile_type, profile_id, slot)
);
COMMENT ON TABLE artefact_counter IS
  'Locked by each create until it commits: versions have no gaps, and a deleted one is never given again.';

CREATE TABLE binding (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL,
  target_type     text NOT NULL,
  target_id       uuid NOT NULL,
  slot            text NOT NULL,
  artefact_id     uuid NOT NULL REFERENCES artefact,
  priority        bigint NOT NULL,
  rev             bigint NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  updated_by      text NOT NULL,
  UNIQUE (organisation_id, target_type, target_id, slot)
);
CREATE INDEX binding_page ON binding (organisation_id, id);
CREATE INDEX binding_target ON binding (target_id);
CREATE INDEX binding_artefact ON binding (artefact_id);

CREATE TABLE device_configuration (
  device_id          text PRIMARY KEY,
  record_id          uuid NOT NULL,
  organisation_id    uuid NOT NULL,
  revision           bigint NOT NULL,
  rev                bigint NOT NULL,
  published_revision bigint NOT NULL,
  published_at       timestamptz,
  attempts           bigint NOT NULL,
  next_attempt_at    timestamptz,
  traceparent        text
) WITH (fillfactor = 70);
CREATE INDEX device_configuration_record ON device_configuration (record_id);
CREATE INDEX device_configuration_due ON device_configuration (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
COMMENT ON TABLE device_configuration IS
  'One desired document. Its row is the lock under which a device''s configuration changes.';
COMMENT ON COLUMN device_configuration.traceparent IS 'The story that made the current revision.';

CREATE TABLE desired_slot (
  device_id        text NOT NULL REFERENCES device_configuration,
  path             text NOT NULL,
  binding_id       uuid NOT NULL,
  artefact_id      uuid NOT NULL REFERENCES artefact,
  since            bigint NOT NULL,
  reported_version bigint,
  reported_sha256  text,
  reported_status  text,
  reported_message text,
  reported_at      timestamptz,
  PRIMARY KEY (device_id, path)
) WITH (fillfactor = 70);
CREATE INDEX desired_slot_binding ON desired_slot (binding_id);
CREATE INDEX desired_slot_artefact ON desired_slot (artefact_id);
COMMENT ON COLUMN desired_slot.path IS 'The slot, or component/slot.';
COMMENT ON COLUMN desired_slot.since IS 'The revision in which this artefact came into the document.';
