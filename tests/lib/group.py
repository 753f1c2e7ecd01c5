"""Processes that share a topic (`group` of fromKafka), and what the tests of them await."""

import json
import os
import re
import signal
import time

from suite import check


# For Broker(settings=...): dead processes are missed soon.
SETTINGS = "group.min.session.timeout.ms=1000\n"


def source(topic, group="g", **config):
    """fromKafka with times of the group that suit a test."""
    return {"topic": topic, "group": group, "format": "json", "schema": "id BIGINT, kind STRING, at TIMESTAMP", "startingOffsets": "earliest",
            "kafka.session.timeout.ms": "2500", "kafka.heartbeat.interval.ms": "300", "kafka.topic.metadata.refresh.interval.ms": "500",
            **config}


def wait_for(condition, message, seconds=60, *members):
    end = time.monotonic() + seconds
    while not condition():
        for member in members:
            check(member.process.poll() is None, f"a process ended with {member.process.returncode}:\n{member.text()[-3000:]}")
        check(time.monotonic() < end, message() if callable(message) else message)
        time.sleep(0.02)


class Member:
    """A process of the group, with a log of its own; it may be started several times."""

    def __init__(self, space, name, *words):
        self.space, self.name, self.words = space, name, words
        self.log, self.report_file = space.file(f"{name}.log"), f"{name}.json"
        self.begin()

    def begin(self):
        self.from_byte = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = self.space.start("run", "pipeline.json", "--progress", "none", "--report", self.report_file, *self.words,
                                            stdout=log, stderr=log)

    def text(self):
        with open(self.log, "rb") as log:
            log.seek(self.from_byte)
            return log.read().decode(errors="replace")

    def await_line(self, pattern, count=1, seconds=60):
        wait_for(lambda: len(re.findall(pattern, self.text())) >= count, lambda: f"no {pattern!r} in:\n{self.text()[-2000:]}", seconds, self)

    def lanes(self):
        """How many the group has given to it and not taken again."""
        text = self.text()
        given = sum(int(n) for n in re.findall(r"(\d+) lanes? given", text))
        return given - sum(int(n) for n in re.findall(r"(\d+) lanes? (?:go|lost) to", text))

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        return self.process.wait(60)

    def report(self):
        with open(self.space.file(self.report_file), encoding="utf-8") as file:
            return json.load(file)


class Members:
    """with Members(space) as members: members.add() ..."""

    def __init__(self, space):
        self.space, self.all = space, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.all:
            member.end(signal.SIGKILL)

    def add(self, *words):
        self.all.append(Member(self.space, f"m{len(self.all)}", *words))
        return self.all[-1]


def more_partitions(server, topic, count):
    from kafka.admin import NewPartitions

    admin = server.admin()
    try:
        admin.create_partitions({topic: NewPartitions(count)})
    finally:
        admin.close()
