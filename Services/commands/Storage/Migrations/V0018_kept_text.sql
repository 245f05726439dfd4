-- What callers and devices say comes back digit for digit (SPEC, section 10): `jsonb` would write 1e5 as 100000, and has numbers
-- that it cannot keep. Nothing in SQL looks into these.
ALTER TABLE command
  ALTER COLUMN params TYPE json,
  ALTER COLUMN result TYPE json,
  ALTER COLUMN late_outcome TYPE json,
  ALTER COLUMN progress TYPE json,
  ALTER COLUMN own TYPE json;
