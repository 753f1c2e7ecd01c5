"""Running contenders in turns and measuring each: wall, CPU and peak memory of the process and its children.

Machines drift by half between minutes, so only ratios of runs taken in turns mean anything: every round runs every
contender once, and the figures are medians over the rounds.
"""

import json
import os
import statistics
import subprocess
import sys


class Failed(Exception):
    pass


# Linux counts the memory of the process that forked into the peak of the one that it starts. So a small Python
# that has loaded nothing starts the command and measures it; below 10 MB its own size is what shows.
STARTER = """
import json, os, sys, time
began = time.monotonic()
pid = os.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(json.dumps({"wall": time.monotonic() - began, "cpu": usage.ru_utime + usage.ru_stime,
                  "memory": usage.ru_maxrss * 1024, "code": os.waitstatus_to_exitcode(status)}), file=sys.stderr)
"""


def once(command, environment=None):
    """{wall, cpu, memory (bytes), out} of one command; Failed with its output when it does not end with 0."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", STARTER, *command], env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
    )
    said, _, figures = done.stderr.rstrip().rpartition("\n")
    try:
        result = json.loads(figures)
    except ValueError:
        raise Failed(f"{' '.join(command)}\n{done.stdout[-1000:]}{done.stderr[-2000:]}") from None
    if result["code"] != 0:
        raise Failed(f"{' '.join(command)}\nended with {result['code']}\n{done.stdout[-1000:]}{said[-2000:]}")
    return {**result, "out": done.stdout + said}


def rounds(contenders, runs, check=None):
    """contenders: {name: function that returns once(..)}. Returns {name: [result..]}; a contender that fails is dropped."""
    results = {name: [] for name in contenders}
    dropped = {}
    for number in range(runs):
        for name, function in contenders.items():
            if name in dropped:
                continue
            try:
                results[name].append(function())
                if check:
                    check(name)
            except Failed as error:
                dropped[name] = str(error)
                print(f"  {name}: {error}", file=sys.stderr, flush=True)
                continue
            print(f"  round {number + 1} {name}: {results[name][-1]['wall']:.2f} s", file=sys.stderr, flush=True)
    return {name: found for name, found in results.items() if name not in dropped}, dropped


def median(results, key):
    return statistics.median(r[key] for r in results)


def table(results, rows, base):
    """Lines of a Markdown table; ratios are against the contender named base."""
    yield "| contender | wall s (min-max) | x | krow/s | CPU s | peak MB |"
    yield "|---|---|---|---|---|---|"
    floor = median(results[base], "wall") if base in results else None
    for name, found in results.items():
        walls = [r["wall"] for r in found]
        ratio = f"{statistics.median(walls) / floor:.2f}" if floor else ""
        yield (
            f"| {name} | {statistics.median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f}) | {ratio} | "
            f"{rows / statistics.median(walls) / 1000:.0f} | {median(found, 'cpu'):.2f} | "
            f"{median(found, 'memory') / 1e6:.0f} |"
        )
