-- A command that was made once more, and the newest that was made for it: each names the other.
ALTER TABLE command ADD COLUMN retry_of uuid, ADD COLUMN retried_by uuid;
