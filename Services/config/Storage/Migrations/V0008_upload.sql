ALTER TABLE artefact ALTER COLUMN content DROP NOT NULL, ADD COLUMN object_key text;
ALTER TABLE artefact ADD CONSTRAINT artefact_inline_or_object CHECK ((content IS NULL) <> (object_key IS NULL));
COMMENT ON COLUMN artefact.object_key IS 'Where the bytes of a large one are in the object store.';

CREATE TABLE artefact_upload (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL,
  profile_type    text NOT NULL,
  profile_id      uuid NOT NULL,
  slot            text NOT NULL,
  size            bigint NOT NULL,
  sha256          text NOT NULL,
  content_type    text NOT NULL,
  expires_at      timestamptz NOT NULL,
  created_by      text NOT NULL,
  artefact_id     uuid
);
CREATE INDEX artefact_upload_expiry ON artefact_upload (expires_at);
COMMENT ON TABLE artefact_upload IS 'Large artefacts on their way; swept some time after they have expired.';
COMMENT ON COLUMN artefact_upload.artefact_id IS 'What it has become: a second completion is told so.';

CREATE TABLE dropped_object (
  object_key text PRIMARY KEY,
  due_at     timestamptz NOT NULL,
  looks      bigint NOT NULL DEFAULT 0
);
CREATE INDEX dropped_object_due ON dropped_object (due_at);
COMMENT ON TABLE dropped_object IS
  'Objects that nobody has any more. Each is deleted twice, a day apart, for an upload that was under way at the first time.';
