-- What is to be resolved: targets whose bindings have changed, and single devices. Only ever added to, and taken from in
-- pages that other replicas leave out: so nobody who changes something waits for who resolves.
CREATE TABLE target_due (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  binding_id      uuid NOT NULL,
  organisation_id uuid NOT NULL,
  target_type     text NOT NULL,
  target_id       uuid NOT NULL,
  traceparent     text
);
COMMENT ON TABLE target_due IS
  'Becomes device_due in a transaction after the change''s own: one that joins the target meanwhile is due by itself.';

CREATE TABLE device_due (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  record_id   uuid NOT NULL,
  traceparent text
);

ALTER TABLE device_configuration ADD COLUMN resolved_rev bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN device_configuration.resolved_rev IS
  'The revision of the device''s record by which its slots were resolved: an older one never counts again.';

ALTER TABLE desired_slot
  ADD COLUMN since_at      timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN known_version bigint,
  ADD COLUMN converged_at  timestamptz,
  ADD COLUMN status        text NOT NULL DEFAULT 'PENDING';
COMMENT ON COLUMN desired_slot.since IS 'The revision in which this content came into the document.';
COMMENT ON COLUMN desired_slot.known_version IS
  'The version under which the device knows the same content, if it is not the artefact''s.';
COMMENT ON COLUMN desired_slot.status IS 'What Domain makes of the report, so that a binding''s numbers are read from an index.';

-- When those that have it already got it is not known: they count for no time to converge.
UPDATE desired_slot s SET status = CASE
    WHEN s.reported_version IS DISTINCT FROM a.version THEN 'PENDING'
    WHEN s.reported_status = 'ACCEPTED' AND s.reported_sha256 <> a.sha256 THEN 'FAILED'
    ELSE s.reported_status END
FROM artefact a WHERE a.id = s.artefact_id;

DROP INDEX desired_slot_binding;
CREATE INDEX desired_slot_binding ON desired_slot (binding_id, device_id, path);
CREATE INDEX desired_slot_convergence ON desired_slot (binding_id, status) INCLUDE (since_at, converged_at);
