-- The sandbox data is the same on every machine and at every load: values come from hashes of the
-- row number, never from random() or the clock.
SET client_min_messages = warning;

-- A non-negative pseudo-random number of a row and a column (salt).
CREATE FUNCTION mix(id bigint, salt int) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT hashint8extended(id, salt) & 9223372036854775807 $$;

-- The same as a fraction in [0, 1).
CREATE FUNCTION frac(id bigint, salt int) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (hashint8extended(id, salt) & 1048575) / 1048576.0::double precision $$;

-- An element of a list.
CREATE FUNCTION pick(list text[], n bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT list[1 + (n % cardinality(list))::int] $$;
