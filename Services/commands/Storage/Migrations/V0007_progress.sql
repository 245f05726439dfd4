-- What the device last said of how far it is: {percent?, step?, at}.
ALTER TABLE command ADD COLUMN progress jsonb;
ALTER TABLE command ALTER COLUMN progress SET STATISTICS 0;
