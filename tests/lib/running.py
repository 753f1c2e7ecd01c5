"""A run that goes on while a test does something to it: a stream, a process of a group."""

import json
import os
import re
import signal
import time

from suite import Failure, equal


def wait_for(condition, message, seconds=60, *runs):
    """What `condition` gives once that is true; none of the runs may end before. `message`: a text, or what gives one."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        for run in runs:
            if run.process.poll() is not None:
                raise Failure(f"{run.name} ended with {run.process.returncode}:\n{run.text()[-3000:]}")
        if time.monotonic() > end:
            raise Failure(message() if callable(message) else message)
        time.sleep(0.01)
    return found


class Running:
    """with Running(space, pipeline) as run: run.until(..); run.drain(). It may be started again: begin()."""

    def __init__(self, space, work, *words, name="run"):
        self.space, self.name, self.words = space, name, words
        self.file = work if isinstance(work, str) else space.write("pipeline.json", work)
        self.log, self.report_file = space.file(f"{name}.log"), f"{name}.json"
        self.begin()

    def begin(self):
        self.from_byte = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = self.space.start("run", self.file, "--progress", "none", "--report", self.report_file, *self.words,
                                            stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL)

    def text(self):
        """What it has said since it was started last."""
        with open(self.log, "rb") as log:
            log.seek(self.from_byte)
            return log.read().decode(errors="replace")

    def until(self, condition, what, seconds=60):
        return wait_for(condition, lambda: f"{what() if callable(what) else what}: did not come:\n{self.text()[-2000:]}", seconds, self)

    def await_line(self, pattern, count=1, seconds=60):
        self.until(lambda: len(re.findall(pattern, self.text())) >= count, f"{pattern!r} in its log", seconds)

    def end(self, number=signal.SIGTERM):
        """Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        return self.process.wait(60)

    def drain(self):
        """Ends it in order; its report."""
        equal(self.end(), 143, f"exit code; {self.text()[-2000:]}")
        return self.report()

    def report(self):
        with open(self.space.file(self.report_file), encoding="utf-8") as file:
            return json.load(file)
