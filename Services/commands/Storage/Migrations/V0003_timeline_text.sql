-- The story as lines of JSON: the next entry is put behind, nothing is read or written anew.
CREATE FUNCTION timeline_lines(entries jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT COALESCE(string_agg(entry::text || E'\n', '' ORDER BY number), '')
  FROM jsonb_array_elements(entries) WITH ORDINALITY AS e (entry, number)
$$;
ALTER TABLE command ALTER COLUMN timeline TYPE text USING timeline_lines(timeline);
ALTER TABLE command ALTER COLUMN timeline SET STATISTICS 0;
DROP FUNCTION timeline_lines;
