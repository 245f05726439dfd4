-- What filters (docs/filters.md) compare, and the indexes that serve the usual ones.

CREATE FUNCTION filter_number(value text) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN length(value) <= 200 AND value ~ '^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9][0-9]?[0-9]?)?$' THEN value::numeric END
$$;
COMMENT ON FUNCTION filter_number IS 'The number that a text is; null if it is none.';

CREATE FUNCTION filter_time(value text) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  -- With its zone in it the text means the same in every session. PostgreSQL reads no longer texts and no offsets of 16 hours
  -- or more; and \d would also be digits of other scripts.
  SELECT CASE
    WHEN length(value) > 64 THEN NULL
    WHEN value !~ '^(?!0000)[0-9][0-9][0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-](0[0-9]|1[0-5]):[0-5][0-9])$'
      THEN NULL
    WHEN substr(value, 9, 2) > '28' AND substr(value, 9, 2)::integer > extract(day FROM
      make_date(substr(value, 1, 4)::integer, substr(value, 6, 2)::integer, 1) + interval '1 month - 1 day') THEN NULL
    WHEN left(value, 10) = '0001-01-01' OR left(value, 10) = '9999-12-31' THEN NULL
    ELSE value::timestamptz END
$$;
COMMENT ON FUNCTION filter_time IS 'The time of RFC 3339 that a text is; null if it is none.';

CREATE FUNCTION filter_sign(less boolean, greater boolean) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN less THEN -1 WHEN greater THEN 1 ELSE 0 END
$$;

-- Versions: numbers with dots, and what Semantic Versioning allows after them. '{1.2.0,rc.1}', or null.
CREATE FUNCTION filter_version(value text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  -- No counted repetitions: they make the pattern a hundred times slower.
  SELECT CASE WHEN length(value) <= 100 THEN
    regexp_match(value, '^[vV]?([0-9]+(?:\.[0-9]+)+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$') END
$$;
COMMENT ON FUNCTION filter_version IS
  'What a version is made of: two numbers or more, and perhaps what Semantic Versioning calls the pre-release; null for what is no version.';

CREATE FUNCTION filter_version_order(a text[], b text[]) RETURNS integer LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  -- 1.2 is 1.2.0.
  x numeric[] := string_to_array(regexp_replace(a[1], '(\.0+)+$', ''), '.')::numeric[];
  y numeric[] := string_to_array(regexp_replace(b[1], '(\.0+)+$', ''), '.')::numeric[];
  s text[] := string_to_array(a[2], '.');
  t text[] := string_to_array(b[2], '.');
  p boolean; q boolean;
BEGIN
  IF x <> y THEN RETURN filter_sign(x < y, x > y); END IF;
  -- A pre-release comes before its release; numbers in it before words, and fewer parts before more.
  IF s IS NULL OR t IS NULL THEN RETURN filter_sign(t IS NULL AND s IS NOT NULL, s IS NULL AND t IS NOT NULL); END IF;
  FOR i IN 1 .. least(cardinality(s), cardinality(t)) LOOP
    IF s[i] = t[i] THEN CONTINUE; END IF;
    p := s[i] ~ '^[0-9]+$'; q := t[i] ~ '^[0-9]+$';
    IF p <> q THEN RETURN filter_sign(p, q); END IF;
    IF NOT p THEN RETURN filter_sign(s[i] COLLATE "C" < t[i], s[i] COLLATE "C" > t[i]); END IF;
    IF s[i]::numeric <> t[i]::numeric THEN
      RETURN filter_sign(s[i]::numeric < t[i]::numeric, s[i]::numeric > t[i]::numeric);
    END IF;
  END LOOP;
  RETURN filter_sign(cardinality(s) < cardinality(t), cardinality(s) > cardinality(t));
END
$$;

CREATE FUNCTION filter_order(a text, b text) RETURNS integer LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  x numeric; y numeric;
  s text[]; t text[];
  u timestamptz; v timestamptz;
BEGIN
  IF a ~ '^[vV+-]?[0-9]' AND b ~ '^[vV+-]?[0-9]' THEN
    x := filter_number(a); y := filter_number(b);
    IF x IS NOT NULL AND y IS NOT NULL THEN RETURN filter_sign(x < y, x > y); END IF;
    s := filter_version(a); t := filter_version(b);
    IF s IS NOT NULL AND t IS NOT NULL THEN RETURN filter_version_order(s, t); END IF;
    u := filter_time(a); v := filter_time(b);
    IF u IS NOT NULL AND v IS NOT NULL THEN RETURN filter_sign(u < v, u > v); END IF;
  END IF;
  RETURN filter_sign(a COLLATE "C" < b COLLATE "C", a COLLATE "C" > b COLLATE "C");
END
$$;
COMMENT ON FUNCTION filter_order IS
  'Whether a is below (-1), equal to (0) or above (1) b: as numbers, versions or times where both are such, else by code points.';

CREATE FUNCTION filter_software(version jsonb) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  -- jsonb is written in one way. Four whole numbers of 64 bits and nothing else, as the state shows them.
  SELECT concat_ws('.', m[1], m[2], m[4], m[3])
  FROM regexp_match(left(version::text, 200),
    '^\{"major": ([0-9]+), "minor": ([0-9]+), "buildNum": ([0-9]+), "revision": ([0-9]+)\}$') AS m
  WHERE 9223372036854775807 >= ALL (m::numeric[])
$$;
COMMENT ON FUNCTION filter_software IS 'An applicationVersion as four numbers with dots.';

-- A record id carries the time at which it was made (UUIDv7). So a range of createdAt is a range of ids, which the
-- index on (organisation_id, id) finds in the order of the lists; the margin is for a clock that is set meanwhile.
CREATE FUNCTION filter_id_time(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT timestamptz 'epoch' + ('x' || substr(translate(id::text, '-', ''), 1, 12))::bit(48)::bigint * interval '1 millisecond'
$$;
ALTER TABLE device ADD CONSTRAINT device_id_time
  CHECK (created_at BETWEEN filter_id_time(id) - interval '10 minutes' AND filter_id_time(id) + interval '10 minutes');

-- By code points, as filters compare, and so that what begins with a text is one range.
ALTER TABLE device_metadata ALTER COLUMN value TYPE text COLLATE "C";
CREATE INDEX device_name ON device (organisation_id, name COLLATE "C") WHERE name IS NOT NULL;
CREATE INDEX device_mcu_id_text ON device (organisation_id, mcu_id COLLATE "C");
CREATE INDEX device_of_soc ON device (organisation_id, soc, id);
