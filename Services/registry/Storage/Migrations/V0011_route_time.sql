ALTER TABLE device_state ADD COLUMN route_at timestamptz;
UPDATE device_state SET route_at = last_seen_at WHERE last_seen_at IS NOT NULL;
COMMENT ON COLUMN device_state.route_at IS
  'When the device sent the packet that named the route: one that comes late does not overwrite a newer one.';
