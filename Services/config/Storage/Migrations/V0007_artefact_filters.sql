-- What a device reports is found by its hash.
CREATE INDEX artefact_sha256 ON artefact (sha256);
CREATE INDEX artefact_profile ON artefact (profile_id);
