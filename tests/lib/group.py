"""Processes that share a topic (`group` of fromKafka), as tests start and end them."""

import re
import signal

from running import Running


# For Broker(settings=...): dead processes are missed soon.
SETTINGS = "group.min.session.timeout.ms=1000\n"


def source(topic, group="g", **config):
    """fromKafka with times of the group that suit a test."""
    return {"topic": topic, "group": group, "format": "json", "schema": "id BIGINT, kind STRING, at TIMESTAMP", "startingOffsets": "earliest",
            "kafka.session.timeout.ms": "2500", "kafka.heartbeat.interval.ms": "300", "kafka.topic.metadata.refresh.interval.ms": "500",
            **config}


class Member(Running):
    """A process of the group."""

    def lanes(self):
        """How many the group has given to it and not taken again."""
        text = self.text()
        given = sum(int(n) for n in re.findall(r"(\d+) lanes? given", text))
        return given - sum(int(n) for n in re.findall(r"(\d+) lanes? (?:go|lost) to", text))


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
        self.all.append(Member(self.space, "pipeline.json", *words, name=f"m{len(self.all)}"))
        return self.all[-1]


def more_partitions(server, topic, count):
    from kafka.admin import NewPartitions

    admin = server.admin()
    try:
        admin.create_partitions({topic: NewPartitions(count)})
    finally:
        admin.close()
