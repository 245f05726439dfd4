-- As its device wrote it, digit for digit (SPEC, section 10). Nothing in SQL looks into it.
ALTER TABLE device_state ALTER COLUMN route TYPE json;
