ALTER TABLE api_key ADD COLUMN last_used_at timestamptz;
COMMENT ON COLUMN api_key.last_used_at IS 'By any service; told once in a while, so up to a minute old.';
