-- A device's state and metadata are written with it, and under its lock. A key's check for each of their rows was a sixth of
-- what an import took beside a million devices; what goes with a device is deleted for all of a statement together.
-- In the order of all that write.
LOCK TABLE device, device_metadata, device_state IN ACCESS EXCLUSIVE MODE;
ALTER TABLE device_state DROP CONSTRAINT device_state_device_id_fkey;
ALTER TABLE device_metadata DROP CONSTRAINT device_metadata_device_fkey;

CREATE FUNCTION device_details_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM device_metadata WHERE device = ANY(ARRAY(SELECT id FROM gone));
  DELETE FROM device_state WHERE device_id = ANY(ARRAY(SELECT device_id FROM gone));
  RETURN NULL;
END
$$;
CREATE TRIGGER device_details_deleted AFTER DELETE ON device REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION device_details_deleted();
