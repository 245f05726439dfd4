-- How many devices each organisation has, so that the list of them needs not count: X-Total-Count at 1,000,000 devices
-- would cost a walk through an index each time. Changes are added and not updated, so that nobody waits for a row;
-- DeviceCountSweeper puts them together.
CREATE TABLE device_count (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation_id uuid NOT NULL,
  devices         bigint NOT NULL
);
CREATE INDEX device_count_of_organisation ON device_count (organisation_id) INCLUDE (devices);

CREATE FUNCTION device_count_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO device_count (organisation_id, devices) SELECT organisation_id, count(*) FROM changed GROUP BY 1;
  RETURN NULL;
END
$$;
CREATE FUNCTION device_count_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO device_count (organisation_id, devices) SELECT organisation_id, -count(*) FROM changed GROUP BY 1;
  RETURN NULL;
END
$$;
CREATE TRIGGER device_count_inserted AFTER INSERT ON device REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION device_count_inserted();
CREATE TRIGGER device_count_deleted AFTER DELETE ON device REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION device_count_deleted();

INSERT INTO device_count (organisation_id, devices) SELECT organisation_id, count(*) FROM device GROUP BY 1;
