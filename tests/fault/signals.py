#!/usr/bin/env python3
"""SIGTERM and SIGINT at any moment, and while a server hangs: the run ends in time with 143 or 130, and the next start completes it.

    tests/fault/signals.py [--moments N] [pattern ..]

N moments for each kind of target (3 unless told), spread over the length of a run, which is measured first; SEED=S repeats them. The
signal is sent once the handlers are there: before that a process dies of it, which is a kill like any other (kills.py). After
each the exit code and the report are looked at, the run is started again, and the target is read by a reader that is not
ours: every row once, nothing staged left. Then servers that hang: one that accepts and says nothing, and proxies that stop carrying
in the middle of a read, a load and a commit.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
MOMENTS = 3
if "--moments" in sys.argv:
    at = sys.argv.index("--moments")
    MOMENTS = int(sys.argv[at + 1])
    del sys.argv[at : at + 2]
import kills
from engine import Workspace, catches
from kills import SEED, SINKS, Tally, is_built, judge, wanted_rows
from proxy import Proxy
from s3_proxy import S3Proxy, hang
from suite import Suite, check, equal

BOUND = 10.0
# The bound while a server hangs. Some runs need most of it, so it is short here.
HUNG_SECONDS = 10 if kills.LONG else 4
NUMBERS = {signal.SIGTERM: 143, signal.SIGINT: 130}


def wait_until(condition, process, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        check(process.poll() is None, f"{what}: the run ended before, exit {process.poll()}")
        check(time.monotonic() < end, f"{what}: did not come")
        time.sleep(0.001)


def start(space, *arguments):
    report = space.file("report.json")
    if os.path.exists(report):
        os.unlink(report)
    with open(space.file("log"), "wb") as log:
        return space.start("run", "pipeline.json", "--progress", "none", "--report", "report.json", *arguments,
                           stdout=subprocess.DEVNULL, stderr=log)


def start_hung(space):
    return start(space, "--stop-within", str(HUNG_SECONDS))


def end_hung(space, process, what):
    return end(space, process, signal.SIGTERM, what, HUNG_SECONDS)


def end(space, process, number, what, bound=BOUND):
    """Sends the signal; how long the run then took to end. Its exit code and its report are checked."""
    began = time.monotonic()
    process.send_signal(number)
    try:
        code = process.wait(bound + 20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        check(False, f"{what}: still there {bound + 20:.0f} s after the signal")
    took = time.monotonic() - began
    with open(space.file("log"), encoding="utf-8") as file:
        said = file.read()[-1500:]
    check(code in (0, NUMBERS[number]), f"{what}: exit {code}\n{said}")
    check(took <= bound, f"{what}: {took:.1f} s until it ended\n{said}")
    with open(space.file("report.json"), encoding="utf-8") as file:
        report = json.load(file)
    equal((report["exit_code"], report["status"]), (code, "cancelled" if code else "success"), f"{what}: the report")
    return code, took


def at_random(sink):
    choose = random.Random(f"{SEED}/signals/{sink.name}")
    usual, tally, longest, stopped = kills.length_of_run(sink), Tally(), 0.0, 0
    for number in range(MOMENTS):
        moment, which = choose.random() * 1.02, signal.SIGINT if number % 4 == 3 else signal.SIGTERM
        what = f"SEED={SEED} {sink.name} {number}: {which.name} at {moment:.3f} of {usual * 1000:.0f} ms"
        with sink.fresh() as space:
            process = start(space)
            began = time.monotonic()
            wait_until(lambda: catches(process, which), process, "the handlers")
            time.sleep(max(0.0, moment * usual - (time.monotonic() - began)))
            code, took = end(space, process, which, what)
            longest, stopped = max(longest, took), stopped + (code != 0)
            if code:
                space.run("pipeline.json").expect(0)
            judge(sink, space, tally, wanted_rows(sink, False), what)
    print(f"# {sink.name}: SEED={SEED}, {MOMENTS} signals, {stopped} stopped a run; the longest took {longest * 1000:.0f} ms to end; "
          f"{tally.lost} lost, {tally.twice} duplicated, {tally.strange} damaged, {tally.left} left staged", flush=True)
    check(not tally.bad, "\n".join(tally.bad[:20]))


# --- servers that hang ---


def postgres():
    return next(s for s in SINKS if s.name == "Postgres")


def s3_files():
    return next(s for s in SINKS if s.name == "S3 files")


def read_from(space, port, rows=None):
    """A pipeline that reads the table `big` of the test server through that port."""
    keys = {**postgres().server.credentials("kills"), "host": "127.0.0.1", "port": port}
    space.write("config/credentials.json", {"defaults": {"postgres": keys}})
    space.write("pipeline.json", {"name": "hung", "steps": [
        {"type": "extract", "method": "fromPostgres", "config": {"table": "big", "numPartitions": 4}},
        {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet"}}]})


def silent_server():
    """It accepts and never says a word."""
    with Workspace() as space, socket.create_server(("127.0.0.1", 0)) as listener:
        read_from(space, listener.getsockname()[1])
        process = start_hung(space)
        accepted, _ = listener.accept()
        with accepted:
            end_hung(space, process, "a server that never answers")


def stalled_read():
    """Rows flow, then nothing: neither the readers nor the request to cancel are answered."""
    server = postgres().server
    server.execute("kills", "CREATE TABLE IF NOT EXISTS big AS SELECT g AS id, repeat(md5(g::text), 20) AS text FROM generate_series(1, 100000) g")
    with Workspace() as space, Proxy(server.port, 2_000_000) as proxy:
        read_from(space, proxy.port)
        process = start_hung(space)
        wait_until(lambda: proxy.carried() > 1_000_000, process, "rows")
        proxy.stall()
        end_hung(space, process, "a server that stalls while it is read")
        proxy.flow()
        read_from(space, server.port)
        space.run("pipeline.json").expect(0)


def stalled_state():
    """The state is on a server that stalls."""
    server = postgres().server
    with postgres().fresh() as space, Proxy(server.port, 0) as proxy:
        keys = {**server.credentials("kills"), "host": "127.0.0.1", "port": proxy.port}
        space.write("config/credentials.json", {**space.credentials, "state": keys})
        with open(space.file("pipeline.json"), encoding="utf-8") as file:
            pipeline = json.load(file)
        space.write("pipeline.json", {**pipeline, "state": {"postgres": "state"}})
        process = start_hung(space)
        wait_until(lambda: proxy.carried() > 1000, process, "the state")
        proxy.stall()
        wait_until(lambda: catches(process, signal.SIGTERM), process, "the handlers")
        end_hung(space, process, "the state's server stalls")


def stalled_load(waits):
    """The target stalls after so many bytes of its answers: while rows are loaded, or in the commit."""
    sink, tally = postgres(), Tally()
    with sink.fresh() as space, Proxy(sink.server.port, 0) as proxy:
        through = {**sink.server.credentials("kills"), "host": "127.0.0.1", "port": proxy.port}
        space.write("config/credentials.json", {"defaults": {"postgres": through}})
        process = start_hung(space)
        wait_until(lambda: proxy.carried() >= waits, process, "answers")
        proxy.stall()
        wait_until(lambda: catches(process, signal.SIGTERM), process, "the handlers")
        code, took = end_hung(space, process, f"the target stalls after {waits} bytes")
        proxy.flow()
        for _ in range(100):  # the server may have the old connection's lock until it sees that it is gone
            done = space.run("pipeline.json")
            if done.code == 0:
                break
        done.expect(0)
        judge(sink, space, tally, wanted_rows(sink, False), f"after {waits} bytes")
        check(not tally.bad, "\n".join(tally.bad))
        return took


def stalled_target():
    sink = postgres()
    with sink.fresh() as space, Proxy(sink.server.port, 0) as proxy:  # how much the server says in a whole load
        through = {**sink.server.credentials("kills"), "host": "127.0.0.1", "port": proxy.port}
        space.write("config/credentials.json", {"defaults": {"postgres": through}})
        space.run("pipeline.json").expect(0)
        whole = proxy.carried()
    took = [stalled_load(int(whole * part)) for part in (0.3, 0.6, 0.9)]
    print(f"# a target that stalls: ended in {', '.join(f'{t:.1f} s' for t in took)}")


def stalled_s3(operation):
    """A request of that kind is never answered. The others are: one that is broken off may arrive after all was discarded."""
    sink, tally = s3_files(), Tally()
    with sink.fresh() as space:
        script = lambda request: hang() if request.operation == operation else None
        with S3Proxy(sink.server.port, script) as proxy:
            keys = {**sink.server.credentials(), "endpoint": proxy.endpoint}
            space.write("config/credentials.json", {"defaults": {"s3": keys}})
            process = start_hung(space)
            hung = lambda: proxy.count(operation) > 0 and all(r.status or r.fault for r in proxy.seen)
            wait_until(hung, process, operation)
            _, took = end_hung(space, process, f"{operation} hangs")
        space.write("config/credentials.json", {"defaults": {"s3": sink.server.credentials()}})
        space.run("pipeline.json").expect(0)
        judge(sink, space, tally, wanted_rows(sink, False), f"{operation} hung")
        check(not tally.bad, "\n".join(tally.bad))
        print(f"# {operation} hangs: ended in {took:.1f} s")


def unreachable():
    """What nobody can wake: a file that blocks whoever opens it. The bound holds all the same, and there is a report."""
    with Workspace() as space:
        os.mkfifo(space.file("fifo"))
        space.write("pipeline.json", {"name": "stuck", "steps": [
            {"type": "extract", "method": "fromPostgres", "config": {"table": "t", "credentialPath": "p"}},
            {"type": "load", "method": "toFile", "config": {"path": "out/"}}]})
        process = start(space, "--credentials", "fifo", "--stop-within", "1")
        wait_until(lambda: catches(process, signal.SIGTERM), process, "the handlers")
        end(space, process, signal.SIGTERM, "a run that hangs", bound=2.0)


def second_signal():
    """The second one ends the process at once."""
    with Workspace() as space:
        os.mkfifo(space.file("fifo"))
        space.write("pipeline.json", {"name": "stuck", "steps": [
            {"type": "extract", "method": "fromPostgres", "config": {"table": "t", "credentialPath": "p"}},
            {"type": "load", "method": "toFile", "config": {"path": "out/"}}]})
        process = start(space, "--credentials", "fifo")
        wait_until(lambda: catches(process, signal.SIGTERM), process, "the handlers")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not catches(process, signal.SIGINT), process, "the default action")
        process.send_signal(signal.SIGINT)
        equal(process.wait(5), -signal.SIGINT, "exit code")


HUNG = [("a server that never answers", silent_server), ("a read that stalls", stalled_read), ("the state's server stalls", stalled_state),
        ("a target that stalls", stalled_target)]
HUNG_S3 = ["UploadPart", "CompleteMultipartUpload"]


def main():
    suite = Suite("signals")
    for sink in SINKS:
        cases = [(f"{sink.name}: at random", at_random, sink)]
        if sink.name == "Postgres":
            cases += HUNG
        if sink.name == "S3 files":
            cases += [(f"S3: {operation} hangs", stalled_s3, operation) for operation in HUNG_S3]
        if not any(suite.wants(c[0]) for c in cases) or not is_built(sink.method):
            continue
        try:
            sink.open()
            for name, function, *arguments in cases:
                suite.case(name, function, *arguments)
        finally:
            sink.close()
    suite.case("what nobody can wake", unreachable)
    suite.case("a second signal", second_signal)
    suite.end()


if __name__ == "__main__":
    main()
