"""A suite of tests in TAP: every case prints `ok` or `not ok`, and one failure never hides another.

bin/test.sh adds these lines up. Arguments of the program are patterns: only cases whose name holds one
of them run. A suite that dies counts as a failure there, because its exit code says so.
"""

import os
import signal
import sys
import time
import traceback


def skip_all(why):
    """Ends the program as skipped."""
    print(f"1..0 # SKIP {why}")
    sys.exit(77)


def need(*modules):
    """Ends the program as skipped where a Python module that the tests read with is missing."""
    for module in modules:
        try:
            __import__(module)
        except ImportError:
            skip_all(f"no Python module {module} (tests/requirements.txt)")


def need_built(path):
    """The program of make check, whole; skipped where it was not built."""
    if not os.path.exists(path):
        skip_all(f"{path} is not built")
    return os.path.abspath(path)


class Failure(Exception):
    """What a check found, in words."""


class Skip(Exception):
    """Why a case cannot run here."""


class Stopped(SystemExit):
    """SIGTERM: the time of the suite is over. The case fails, and the servers end as they do behind the last one."""


def _stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped(1)


class Suite:
    def __init__(self, name):
        signal.signal(signal.SIGTERM, _stop)
        self.name = name
        self.patterns = [a for a in sys.argv[1:] if not a.startswith("-")]
        self.number = 0
        self.failed = 0

    def wants(self, name):
        return not self.patterns or any(p in name for p in self.patterns)

    def case(self, name, function, *arguments):
        """Runs one case; an exception is its failure."""
        if not self.wants(name):
            return
        self.number += 1
        began = time.monotonic()
        try:
            function(*arguments)
        except Skip as skip:
            print(f"ok {self.number} - {self.name}: {name} # SKIP {skip}", flush=True)
            return
        except (Exception, Stopped) as error:
            self.failed += 1
            print(f"not ok {self.number} - {self.name}: {name}")
            text = str(error) if isinstance(error, Failure) else traceback.format_exc()
            print("".join(f"  # {line}\n" for line in text.splitlines()), end="", flush=True)
            if isinstance(error, Stopped):
                raise
            return
        print(f"ok {self.number} - {self.name}: {name} ({time.monotonic() - began:.2f} s)", flush=True)

    def end(self):
        print(f"1..{self.number}")
        sys.exit(1 if self.failed else 0)


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: got {got!r}, wanted {wanted!r}")


def checkout():
    return os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
