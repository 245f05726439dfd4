-- Filters that other services have asked for, and how far their answers are.
CREATE TABLE device_selection (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL,
  filter          text NOT NULL,
  traceparent     text,
  -- The number of the next page, and the device after which it begins.
  page            integer NOT NULL DEFAULT 0,
  after           uuid,
  looked_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX device_selection_look ON device_selection (looked_at);
