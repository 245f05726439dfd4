-- Every change of every binding, also its end: it stays when the binding is gone.
CREATE TABLE binding_history (
  binding_id      uuid NOT NULL,
  rev             bigint NOT NULL,
  organisation_id uuid NOT NULL,
  target_type     text NOT NULL,
  target_id       uuid NOT NULL,
  slot            text NOT NULL,
  at              timestamptz NOT NULL,
  by              text NOT NULL,
  artefact_before uuid,
  version_before  bigint,
  priority_before bigint,
  artefact_after  uuid,
  version_after   bigint,
  priority_after  bigint,
  PRIMARY KEY (binding_id, rev)
);

INSERT INTO binding_history (binding_id, rev, organisation_id, target_type, target_id, slot, at, by,
  artefact_after, version_after, priority_after)
SELECT b.id, b.rev, b.organisation_id, b.target_type, b.target_id, b.slot, b.updated_at, b.updated_by,
  b.artefact_id, a.version, b.priority
FROM binding b JOIN artefact a ON a.id = b.artefact_id;
