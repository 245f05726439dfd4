-- Plans of this schema are kept and go by keys: analysing the documents cost a quarter of the database's time under load.
ALTER TABLE command
  ALTER COLUMN params SET STATISTICS 0, ALTER COLUMN timeline SET STATISTICS 0, ALTER COLUMN result SET STATISTICS 0,
  ALTER COLUMN late_outcome SET STATISTICS 0, ALTER COLUMN traceparent SET STATISTICS 0,
  SET (autovacuum_analyze_scale_factor = 0.5, autovacuum_vacuum_scale_factor = 0.5,
       autovacuum_vacuum_insert_scale_factor = 1);
ALTER TABLE open_command SET (autovacuum_vacuum_threshold = 20000, autovacuum_analyze_threshold = 200000);
