-- Which device a command is for: a deviceId may be given again, to a device that has nothing to do with the first.
ALTER TABLE open_command ADD COLUMN device_record uuid;
COMMENT ON COLUMN open_command.device_record IS 'The device''s record id; null for commands from before this column.';
