"""A private PostgreSQL for a test: its own folder, socket and port, stopped and removed at the end.

PostgreSQL refuses to run as root, so root starts it as the user of Debian's package.
"""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time

import psycopg

from private import free_port
from suite import skip_all

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = '{place}'
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = logical
max_connections = 100
max_prepared_transactions = 8
shared_buffers = 256MB
max_wal_size = 8GB
autovacuum = off
timezone = 'UTC'
log_min_messages = warning
"""


EMPTY = """
DO $$ DECLARE thing text; BEGIN
    PERFORM pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
    EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
    FOR thing IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', thing);
    END LOOP;
    FOR thing IN SELECT pubname FROM pg_publication LOOP
        EXECUTE format('DROP PUBLICATION %I', thing);
    END LOOP;
    CREATE SCHEMA public;
    GRANT USAGE ON SCHEMA public TO public;
END $$
"""


def binaries():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
    if found:
        return os.path.dirname(found[-1])
    tool = shutil.which("initdb")
    if tool:
        return os.path.dirname(tool)
    raise RuntimeError("no PostgreSQL server binaries (Debian: postgresql)")


def need_server():
    """Ends the program as skipped where no PostgreSQL can be started."""
    try:
        binaries()
    except RuntimeError as missing:
        skip_all(missing)


class Server:
    """with Server() as server: server.database("name") ..."""

    def __init__(self, settings=""):
        self.bin = binaries()
        self.port = free_port()
        self.place = tempfile.mkdtemp(prefix="millrace-pg-")
        self.user = "postgres"
        self.settings = settings
        self.made = set()
        self.as_server = []
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.place, account.pw_uid, account.pw_gid)
            self.as_server = ["runuser", "-u", "postgres", "--"]

    def _run(self, *command):
        done = subprocess.run(
            [*self.as_server, *command], cwd=self.place, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}{self.log()}")

    def log(self):
        path = f"{self.place}/log"
        return open(path, errors="replace").read()[-4000:] if os.path.exists(path) else ""

    def __enter__(self):
        self._run(
            f"{self.bin}/initdb", "-D", f"{self.place}/data", "-U", self.user, "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )
        with open(f"{self.place}/data/postgresql.conf", "a") as file:
            file.write(SETTINGS.format(place=self.place) + self.settings)
        self.start()
        return self

    def start(self):
        # The log goes to a file of its own: a pipe would be held open by the server.
        self._run("sh", "-c", f"{self.bin}/pg_ctl -D {self.place}/data -o '-p {self.port}' -l {self.place}/log -w start >/dev/null")

    def stop(self, mode="fast"):
        self._run("sh", "-c", f"{self.bin}/pg_ctl -D {self.place}/data -m {mode} -w stop >/dev/null")

    def __exit__(self, *_):
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.place, ignore_errors=True)

    def connect(self, database="postgres", **options):
        return psycopg.connect(
            host=self.place, port=self.port, user=self.user, dbname=database, autocommit=True, **options
        )

    def database(self, name):
        """An empty database of this name; one that a test has had before is emptied, which takes a tenth of making it anew."""
        there = self.rows("postgres", "SELECT 1 FROM pg_database WHERE datname = %s", name)
        if name not in self.made or not there:
            self.execute("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
            self.made.add(name)
            return name
        with self.connect(name) as connection:
            connection.execute(EMPTY)
        return name

    def run_file(self, database, path):
        done = subprocess.run(
            [f"{self.bin}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.place, "-p", str(self.port),
             "-U", self.user, "-d", database, "-f", path],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{path}: {done.stderr}")

    def rows(self, database, query, *parameters):
        with self.connect(database) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def execute(self, database, *statements):
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def credentials(self, database, host=None):
        """The connection as keys of a credentials file."""
        return {"host": host or self.place, "port": self.port, "database": database, "username": self.user, "password": "unused"}


class Standby(Server):
    """with Standby(primary) as standby: a replica that streams from the server, with the same databases."""

    def __init__(self, primary):
        super().__init__()
        self.primary = primary

    def __enter__(self):
        self._run(
            f"{self.bin}/pg_basebackup", "-D", f"{self.place}/data", "-R", "-X", "stream", "-c", "fast", "--no-sync",
            "-h", self.primary.place, "-p", str(self.primary.port), "-U", self.user,
        )
        with open(f"{self.place}/data/postgresql.conf", "a") as file:
            file.write(SETTINGS.format(place=self.place))
        self.start()
        return self

    def catch_up(self, name):
        target = self.primary.rows(name, "SELECT pg_current_wal_insert_lsn()::text")[0][0]
        while not self.rows(name, f"SELECT pg_last_wal_replay_lsn() >= '{target}'::pg_lsn")[0][0]:
            time.sleep(0.02)

    def imports_snapshots(self, name):
        """Whether this release imports a snapshot of a standby with its open transactions (since November 2026)."""
        major, minor = divmod(int(self.rows(name, "SHOW server_version_num")[0][0]), 10000)
        return minor >= {14: 25, 15: 20, 16: 16, 17: 12, 18: 6, 19: 1}.get(major, 0) and major >= 14
