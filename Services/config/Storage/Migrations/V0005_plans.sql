-- Changes of bindings that were planned, and what they were found to do.
CREATE TABLE binding_plan (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL,
  changes         jsonb NOT NULL,
  outcome         bytea NOT NULL,
  created_at      timestamptz NOT NULL,
  created_by      text NOT NULL,
  expires_at      timestamptz NOT NULL,
  applied_at      timestamptz,
  applied_by      text
);
CREATE INDEX binding_plan_expiry ON binding_plan (expires_at);
COMMENT ON COLUMN binding_plan.changes IS '[{target: {type, id}, slot, artefactId?, priority}]; without an artefact the binding goes.';
COMMENT ON COLUMN binding_plan.outcome IS
  'Of each device that would change, 24 bytes in the order of ids: its record id, and a hash of what would change.';
