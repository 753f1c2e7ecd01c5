#!/usr/bin/env python3
"""SIGSTOP, a second instance, SIGCONT: one of the two is fenced, and the target has each row once.

For each kind of target (kills.py), with the state in a directory and in PostgreSQL. A directory's lease lasts as long as its holder
lives, stopped or not: the second instance is refused, and the first goes on. In PostgreSQL it runs out 30 s after the last renewal.

At named steps (a build with --enable-failpoints): the first stops at a step, its lease is made to run out as if half a minute had
passed, the second takes over and stops at a step as well, the first wakes and goes on to its end while the second is in the middle
of its work, then the second. A few pairs of steps; PAIRS=N takes so many for each target, MILLRACE_LONG=1 all pairs.

In real time, with MILLRACE_LONG=1 only: STOPS (50) instances for each target and state stop at a step or a moment for 30 s, as long
as the lease, so that either may win; and in PostgreSQL as many for 12 s (the first keeps its lease) and for 40 s (it has lost it). The
second instance comes at any moment meanwhile. They stop all at once, each with a target of its own. SEED=S repeats the moments.
"""

import collections
import concurrent.futures
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import kills
from kills import LONG, SEED, SINKS, Skip, Suite, Tally, check, is_built, judge
from server import Server

PAIRS = int(os.environ.get("PAIRS") or 2)
STOPS = int(os.environ.get("STOPS") or 50)
ROOM = "max_connections = 800\n"
WORKING = threading.Semaphore(3)  # who is awake


class Pair:
    """Two instances of one pipeline."""

    def __init__(self, sink, space, state):
        self.sink, self.space, self.state = sink, space, state
        self.processes, self.reports = [], []
        self.key = f"load{space.target.rsplit('/', 1)[-1]}-{os.path.basename(space.path)}"
        if state:
            space.write("config/credentials.json", {**space.credentials, "state": state.credentials("state")})
        with open(space.file("pipeline.json"), encoding="utf-8") as file:
            pipeline = json.load(file)
        pipeline["name"] = self.key
        space.write("pipeline.json", {**pipeline, **({"state": {"postgres": "state"}} if state else {})})

    def start(self, point=None):
        number = len(self.processes)
        environment = {"MILLRACE_FAILPOINT": f"{point}=stop"} if point else {}
        with open(self.space.file(f"log{number}"), "wb") as log:
            self.processes.append(self.space.start("run", "pipeline.json", "--progress", "none", "--report", f"report{number}.json",
                                                   environment=environment, stdout=subprocess.DEVNULL, stderr=log))
        return self.processes[-1]

    def said(self, number):
        with open(self.space.file(f"log{number}"), encoding="utf-8") as file:
            return f"{number}: exit {self.processes[number].returncode}\n{file.read()[-3000:]}"

    def report(self, number):
        if not os.path.exists(self.space.file(f"report{number}.json")):
            return {}
        with open(self.space.file(f"report{number}.json"), encoding="utf-8") as file:
            return json.load(file)

    def lease_runs_out(self):
        self.state.execute("state", f"UPDATE millrace.leases SET expires = '-infinity' WHERE state_key = '{self.key}'")

    def end(self):
        for process in self.processes:
            if process.returncode is None:
                process.kill()
                process.wait()

    def loads(self):
        """How many loads the two have made. The second may have finished the first one's: that is one, whatever the first says."""
        first, second = (p.returncode == 0 for p in self.processes)
        finished = bool(self.report(1).get("finished_run"))
        return (second and not finished) + (first or (second and finished))


def stopped(process, seconds=600):
    """Waits until it has stopped or ended, or so long; has it stopped?"""
    end = time.monotonic() + seconds
    while process.returncode is None and time.monotonic() < end:
        seen = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if seen and seen.si_code == os.CLD_STOPPED:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            return True
        if seen:
            process.wait()
        time.sleep(0.002)
    return False


def go_on(process):
    if process.returncode is None:
        process.send_signal(signal.SIGCONT)


def look(pair, tally, ends, what):
    """What both have left, and what a third run makes of it."""
    codes = [p.returncode for p in pair.processes]
    ends[tuple(codes)] += 1
    said = f"{what}\n{pair.said(0)}{pair.said(1)}"
    if codes not in ([0, 0], [9, 0], [0, 9], [6, 0], [9, 6]):
        tally.bad.append(f"{said}\nended with {codes}")
    if pair.loads():  # what a fenced run has committed and could not record, the next start finishes
        wanted = collections.Counter({k: pair.loads() for k in range(pair.sink.rows)})
        judge(pair.sink, pair.space, tally, wanted, said, staged=False)
    again = pair.space.run("pipeline.json")
    if again.code != 0:
        tally.bad.append(f"{said}\nthe next run: {again}")
    finished = bool((again.report or {}).get("finished_run"))
    wanted = collections.Counter({k: max(1, pair.loads() + (not finished)) for k in range(pair.sink.rows)})
    judge(pair.sink, pair.space, tally, wanted, f"{said}\nafter the next run: {again}")


def steps_of(sink, state):
    """Names of the steps of a run, as it first passes them, and how often it does."""
    with sink.fresh() as space:
        Pair(sink, space, state)
        space.run("pipeline.json", environment={"MILLRACE_FAILPOINT_LIST": space.file("places")}).expect(0)
        if not os.path.exists(space.file("places")):
            raise Skip("built without --enable-failpoints")
        with open(space.file("places"), encoding="utf-8") as file:
            return collections.Counter(file.read().split())


def one_pair(sink, state, first, second, tally, ends):
    what = f"{sink.name}: the first stopped at {first}, the second at {second}"
    with sink.fresh() as space:
        pair = Pair(sink, space, state)
        try:
            a = pair.start(first)
            was_stopped = stopped(a)
            if state:
                pair.lease_runs_out()
            b = pair.start(second)
            stopped(b, 5)  # it may wait for what the first holds
            if was_stopped:
                go_on(a)
            with contextlib.suppress(subprocess.TimeoutExpired):
                a.wait(3)  # and the first for what the second holds
            end = time.monotonic() + 90
            while b.returncode is None and time.monotonic() < end:  # it may come to its step only now
                go_on(b)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    b.wait(0.2)
            a.wait(90)
            b.wait(1)
            look(pair, tally, ends, what)
        finally:
            pair.end()


def other_rows(sink, state):
    """The first stops at each step of writing, the source changes, and it wakes when the second is about to commit: nothing of it is left."""
    passed = list(steps_of(sink, state))
    writing = sorted(passed[:passed.index("state.before")])
    tally = Tally()
    for name in writing if LONG else [random.Random(f"{SEED}/{sink.name}/other").choice(writing)]:
        what = f"{sink.name}: the first stopped at {name}, then other rows"
        with sink.fresh() as space:
            pair = Pair(sink, space, state)
            os.symlink(os.path.join(sink.folder, "old.parquet"), space.file("in.parquet"))
            with open(space.file("pipeline.json"), encoding="utf-8") as file:
                pipeline = json.load(file)
            pipeline["steps"][0]["config"]["path"] = "in.parquet"
            space.write("pipeline.json", pipeline)
            try:
                a = pair.start(name)
                check(stopped(a), f"{what}: not stopped: {pair.said(0)}")
                os.unlink(space.file("in.parquet"))
                os.symlink(os.path.join(sink.folder, "new.parquet"), space.file("in.parquet"))
                pair.lease_runs_out()
                b = pair.start("epoch.before_commit")
                b_waits = stopped(b, 20)
                go_on(a)
                a.wait(60)
                go_on(b)
                b.wait(60)
                said = f"{what}\n{pair.said(0)}{pair.said(1)}"
                if not b_waits or [a.returncode, b.returncode] not in ([9, 0], [6, 0]):
                    tally.bad.append(f"{said}\nended with {a.returncode}, {b.returncode}")
                judge(sink, space, tally, collections.Counter(range(sink.rows)), said, staged=False)
            finally:
                pair.end()
    print(f"# {sink.name}: {len(writing)} steps of writing, other rows: {tally.lost} lost, {tally.twice} duplicated, {tally.strange} of the first one's", flush=True)
    check(not tally.bad, f"SEED={SEED}: {len(tally.bad)} ended badly\n" + "\n\n".join(tally.bad[:8]))


def overtaken(sink, state):
    steps, tally, ends = steps_of(sink, state), Tally(), collections.Counter()
    # Each step at its first pass, and those that are passed again at their last.
    places = sorted({f"{n}:{i}" for n, times in steps.items() for i in (1, times)})
    pairs = [(a, b) for a in places for b in [*places, None]]
    choose = random.Random(f"{SEED}/{sink.name}/stops")
    if not LONG and len(pairs) > PAIRS:
        pairs = choose.sample(pairs, PAIRS)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda p: one_pair(sink, state, *p, tally, ends), pairs))
    show(f"{sink.name}: {len(pairs)} pairs of {len(places)} steps", ends, tally)


def show(what, ends, tally):
    codes = ", ".join(f"{n} times {a}/{b}" for (a, b), n in sorted(ends.items()))
    print(f"# {what}: ended {codes}; {tally.lost} lost, {tally.twice} duplicated, {tally.strange} damaged, {tally.left} left staged", flush=True)
    check(not tally.bad, f"SEED={SEED}: {len(tally.bad)} ended badly\n" + "\n\n".join(tally.bad[:8]))


# --- in real time ---


def one_stop(sink, state, seconds, usual, steps, number, tally, ends, longest):
    """Half of them stop at a step, the others at a moment."""
    choose = random.Random(f"{SEED}/{sink.name}/{bool(state)}/{seconds}/{number}")
    point = None
    if number % 2:
        name = choose.choice(sorted(steps))
        point = f"{name}:{choose.randint(1, steps[name])}"
    what = f"{sink.name}, state on {'a server' if state else 'disk'}: {number}: stopped {seconds} s at {point or 'a moment'}"
    with sink.fresh() as space:
        pair = Pair(sink, space, state)
        try:
            with WORKING:
                a = pair.start(point)
                if point:
                    is_stopped = stopped(a)
                else:
                    time.sleep(choose.uniform(0, usual))
                    a.send_signal(signal.SIGSTOP)
                    is_stopped = stopped(a)
                began = time.monotonic()
                if not is_stopped:
                    ends["over before"] += 1
                    return
            time.sleep(choose.uniform(0, seconds - 2))
            with WORKING:
                b = pair.start()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    b.wait(1)  # who waits for the lease does that outside
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            longest[0] = max(longest[0], time.monotonic() - began)
            go_on(a)
            a.wait(120)
            b.wait(120)
            with WORKING:
                look(pair, tally, ends, what)
        finally:
            pair.end()


def in_real_time(sink, state, seconds):
    steps, tally, ends = steps_of(sink, state), Tally(), collections.Counter()
    usual, number, longest = kills.length_of_run(sink), 0, [0.0]
    while sum(n for k, n in ends.items() if k != "over before") < STOPS and number < 4 * STOPS:
        more = STOPS - sum(n for k, n in ends.items() if k != "over before")
        with concurrent.futures.ThreadPoolExecutor(more) as pool:
            list(pool.map(lambda n: one_stop(sink, state, seconds, usual, steps, n, tally, ends, longest), range(number, number + more)))
        number += more
    over = ends.pop("over before", 0)
    show(f"{sink.name}, state on {'a server' if state else 'disk'}: {sum(ends.values())} stops of {seconds} s, the longest {longest[0]:.1f} s ({over} more were over before)", ends, tally)


def main():
    suite = Suite("stops")
    kills.Postgres.settings = ROOM
    with contextlib.ExitStack() as stack:
        state = None
        for sink in SINKS:
            cases = [(f"{sink.name}: overtaken at each step", overtaken, ()), (f"{sink.name}: overtaken, other rows", other_rows, ())]
            if LONG:
                cases += [(f"{sink.name}: stopped 30 s, state on disk", in_real_time, (30,))]
                cases += [(f"{sink.name}: stopped {s} s, state on a server", in_real_time, (s,)) for s in (30, 12, 40)]
            if not any(suite.wants(name) for name, *_ in cases) or not is_built(sink.method):
                continue
            if not state:
                state = stack.enter_context(Server(ROOM))
                state.database("state")
            try:
                sink.open()
                for name, function, arguments in cases:
                    suite.case(name, function, sink, None if "disk" in name else state, *arguments)
            finally:
                sink.close()
    suite.end()


if __name__ == "__main__":
    main()
