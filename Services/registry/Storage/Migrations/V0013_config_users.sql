-- What the config service has that refers to objects of the registry, as its public events tell: artefacts to boards and
-- sensor profiles, bindings to their targets.
CREATE TABLE config_user (
  kind            text NOT NULL CHECK (kind IN ('artefact', 'binding')),
  id              uuid NOT NULL,
  organisation_id uuid NOT NULL,
  used            uuid NOT NULL,
  PRIMARY KEY (kind, id)
);
CREATE INDEX config_user_used ON config_user (used);
CREATE INDEX config_user_organisation ON config_user (organisation_id);
