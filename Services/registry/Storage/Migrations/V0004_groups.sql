CREATE TABLE device_group (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL CONSTRAINT device_group_organisation REFERENCES organisation (id),
  name            text NOT NULL,
  filter          text,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  rev             bigint NOT NULL
);
COMMENT ON COLUMN device_group.filter IS 'What its members follow; null: it has members of its own.';
CREATE INDEX device_group_of_organisation ON device_group (organisation_id, id);
CREATE INDEX device_group_with_filter ON device_group (organisation_id, id) WHERE filter IS NOT NULL;

CREATE TABLE group_member (
  group_id     uuid NOT NULL REFERENCES device_group (id),
  device       uuid NOT NULL REFERENCES device (id) ON DELETE CASCADE,
  organisation uuid NOT NULL,
  PRIMARY KEY (group_id, device)
);
COMMENT ON TABLE group_member IS
  'Whoever writes it holds the organisation''s advisory lock: shared for a change of few devices, alone for one of a group.';
CREATE INDEX group_member_of_device ON group_member (device, group_id);
