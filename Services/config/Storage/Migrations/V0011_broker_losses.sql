ALTER TABLE device_configuration ADD confirmed_at timestamptz;
UPDATE device_configuration SET confirmed_at = published_at WHERE published_revision = revision;
COMMENT ON COLUMN device_configuration.confirmed_at IS 'When the broker last confirmed the current revision.';

CREATE TABLE broker_start (at timestamptz PRIMARY KEY, heard_at timestamptz NOT NULL);
COMMENT ON TABLE broker_start IS 'When a broker came, until what it may have lost by then is due again.';
