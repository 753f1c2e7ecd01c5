"""A load that waits in the middle of its rows, so that what a scheduler does to a run there is no question of timing.

The source is a query that waits for an advisory lock at half of its rows. A test holds the lock until it has stopped the run; then it
gives it back, and the next try must end the work. The target is appended to, and would show a row that is written twice.
"""

import time

from suite import Failure, check, equal

ROWS = 40000
PATIENCE = 120
TABLES = f"""
CREATE FUNCTION gate(id bigint, key int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF id = {ROWS // 2} THEN
        PERFORM pg_advisory_lock_shared(key);
        PERFORM pg_advisory_unlock_shared(key);
    END IF;
    RETURN true;
END $$;
CREATE TABLE t AS SELECT id, (id % 7)::int AS grp, repeat('x', (id % 50)::int) AS body FROM generate_series(1, {ROWS}) id;
ANALYZE t
"""
CONTENT = "SELECT count(*), count(DISTINCT id), sum(hashtext(concat_ws(':', id, grp, body))) FROM {}"


def pipeline(*checks, **more):
    """Parameters: target, the table out_TARGET; key, the lock."""
    return {
        "name": "orders", "stateKey": "orders-${target}", "parameters": {"target": None, "key": None}, **more,
        "steps": [
            {"type": "extract", "method": "fromPostgres", "config": {
                "query": "SELECT id, grp, body FROM t WHERE gate(id, ${key}) ORDER BY id", "credentialPath": "source"}},
            *checks,
            {"type": "load", "method": "toPostgres", "config": {"table": "out_${target}", "mode": "append", "credentialPath": "source"}},
        ]}


INVALID = {"type": "validate", "method": "validateRanges", "config": {"ranges": {"id": {"max": 10}}}}


def wait(what, condition, patience=PATIENCE):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise Failure(f"waited {patience} s for {what}")


class Gates:
    """The locks, all closed at first; a name is a target, its number the key."""

    def __init__(self, server, database, names):
        self.server, self.database = server, database
        self.keys = {name: number for number, name in enumerate(names, 1)}
        self.connection = server.connect(database)

    def __enter__(self):
        for name in self.keys:
            self.close(name)
        return self

    def __exit__(self, *_):
        self.connection.close()

    def close(self, name):
        self.connection.execute("SELECT pg_advisory_lock(%s)", (self.keys[name],))

    def open(self, name):
        self.connection.execute("SELECT pg_advisory_unlock(%s)", (self.keys[name],))

    def waiting(self, name):
        return self.server.rows(
            self.database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", self.keys[name])[0][0]

    def stopped(self, name):
        """Opens the gate for the next try: the first one is gone, and has left nothing that can be seen."""
        equal(self.server.rows(self.database, "SELECT to_regclass(%s)::text", f"out_{name}"), [(None,)], "a table after the first try")
        self.open(name)

    def complete(self, name):
        """Every row once; says what was found."""
        got, wanted = (self.server.rows(self.database, CONTENT.format(table))[0] for table in (f"out_{name}", "t"))
        print(f"# {name}: {got[0]} rows, {got[0] - got[1]} twice, {ROWS - got[1]} lost", flush=True)
        equal(got, wanted, "rows, keys, sum of hashes")
        check(got[1] == ROWS, f"{got[1]} rows")
