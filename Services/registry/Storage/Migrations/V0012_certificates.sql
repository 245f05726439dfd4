-- Certificates of devices. Those of devices that are no more stay until they end: whoever checks certificates must be told
-- that they are revoked.
CREATE TABLE device_certificate (
  serial_number   text PRIMARY KEY,
  device          uuid NOT NULL,
  device_id       text NOT NULL,
  organisation_id uuid NOT NULL,
  not_before      timestamptz NOT NULL,
  not_after       timestamptz NOT NULL,
  created_at      timestamptz NOT NULL,
  created_by      text NOT NULL,
  revoked_at      timestamptz,
  revoked_by      text
);
CREATE INDEX device_certificate_device ON device_certificate (device) WHERE revoked_at IS NULL;
COMMENT ON COLUMN device_certificate.device IS 'Its record id. A deviceId that is given again is another''s.';
