"""Cases of test_kafka.py: fromKafka epoch after epoch in one process (tests/interop/kafka_epochs), against the real broker.

With --figures (python kafka_stream.py --figures PROGRAM) the cost of an epoch without records and of one with 1,000.
"""

import json
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, check, equal


class Epochs:
    """with Epochs(server, topic="t") as stream: stream() -> [(partition, offset)..] that are new"""

    def __init__(self, server, program=None, **options):
        program = program or os.path.join(os.path.dirname(os.environ.get("MILLRACE_BIN", "build/millrace")), "tests", "interop", "kafka_epochs")
        if not os.path.exists(program):
            raise Skip(f"{program} is not built")
        words = [word for name, value in options.items() for word in (name, str(value))]
        self.process = subprocess.Popen(
            [program, "bootstrap.servers", server.servers, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        if kind is not None:
            self.process.kill()
        code = self.process.wait(60)
        self.process.stdout.close()
        check(kind is not None or code == 0, f"ended with {code}")

    def ask(self, what="epoch"):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __call__(self, what="epoch"):
        answer = self.ask(what)
        check("error" not in answer, answer)
        return sorted(tuple(place) for place in answer["read"])


def send(producer, topic, count, partition=0):
    for number in range(count):
        producer.send(topic, b"%d" % number, partition=partition)
    producer.flush()


def stream_epochs(server):
    """New records, new partitions, repeated epochs, records that are deleted."""
    from kafka.admin import NewPartitions

    server.topic("stream", 2)
    producer = server.producer()
    send(producer, "stream", 10)
    with Epochs(server, topic="stream", **{"kafka.topic.metadata.refresh.interval.ms": 200}) as stream:
        equal(stream("again"), [], "a stream begins at the end")
        send(producer, "stream", 3, 1)
        equal(stream("again"), [(1, 0), (1, 1), (1, 2)], "the end of the first look")
        send(producer, "stream", 2)
        wanted = [(0, 10), (0, 11), (1, 0), (1, 1), (1, 2)]
        equal(stream(), wanted, "what is new")
        equal(stream(), [], "nothing")
        admin = server.admin()
        admin.create_partitions({"stream": NewPartitions(total_count=3)})
        admin.close()
        producer.close()
        producer = server.producer()
        send(producer, "stream", 4, 2)
        found = []
        while not found:  # partitions are looked for from time to time
            found = stream()
        equal(found, [(2, n) for n in range(4)], "a new partition")
        send(producer, "stream", 100, 1)
        equal(stream("again"), [(1, n) for n in range(3, 103)], "an epoch that is not committed")
        equal(stream(), [(1, n) for n in range(3, 103)], "again")
        send(producer, "stream", 20)
        server.delete_records("stream", {0: 20})
        send(producer, "stream", 1)
        answer = stream.ask()
        # What has been fetched already is not lost; what was not, is said.
        if "error" in answer:
            check("20" in answer["error"] and "stream[0]" in answer["error"], answer)
        else:
            equal(sorted(map(tuple, answer["read"])), [(0, n) for n in range(12, 33)], "fetched before")


def stream_transactions(server):
    """Markers, aborted and open transactions between epochs."""
    server.topic("streamtx", 1)
    producer = server.producer(transactional_id="stream", linger_ms=0)
    producer.init_transactions()
    seen = []
    with Epochs(server, topic="streamtx", startingOffsets="earliest") as stream:
        for number in range(12):
            producer.begin_transaction()
            for item in range(5):
                producer.send("streamtx", b"%d" % item)
            producer.flush()
            seen += stream()  # while it is open
            if number % 3 == 1:
                producer.abort_transaction()
            else:
                producer.commit_transaction()
            if number % 2:
                seen += stream()
        while len(seen) < 40:  # the end of a transaction is seen a little after it was answered
            seen += stream()
        equal(stream(), [], "nothing is left")
    equal([offset for _, offset in seen], [r.offset for r in server.read("streamtx")], "offsets")


def stream_gone(server):
    """A topic that is deleted under a stream, and one that is made again."""
    server.topic("gone", 1)
    producer = server.producer()
    send(producer, "gone", 5)
    with Epochs(server, topic="gone", startingOffsets="earliest") as stream:
        equal(len(stream()), 5, "rows")
        admin = server.admin()
        admin.delete_topics(["gone"])
        admin.close()
        answer = stream.ask()
        while "error" not in answer:  # the broker takes its time
            equal(answer["rows"], 0, "rows of a topic that is gone")
            answer = stream.ask()
        check("gone" in answer["error"], answer)


def stream_expired(server):
    """Records are deleted in front of a stream that is reading: it says so, or goes on behind them where it may, and never passes over one silently."""
    server.topic("overtaken", 1)
    producer = server.producer()
    small = {"startingOffsets": "earliest", "maxOffsetsPerTrigger": 2, "kafka.queued.max.messages.kbytes": 16, "kafka.fetch.message.max.bytes": 8000}
    for number in range(20):
        producer.send("overtaken", b"x" * 8000, partition=0)
    producer.flush()
    with Epochs(server, topic="overtaken", **small) as strict, Epochs(server, topic="overtaken", failOnDataLoss="false", **small) as loose:
        equal((strict(), loose()), ([(0, 0), (0, 1)],) * 2, "the first epochs")
        server.delete_records("overtaken", {0: 15})
        seen, answer = [0, 1], strict.ask()
        while "error" not in answer and seen[-1] < 19:
            seen += [offset for _, offset in answer["read"]]
            answer = strict.ask()
        equal(seen, list(range(len(seen))), "offsets")
        check("not there any more" in answer.get("error", ""), answer)
        seen = [0, 1]
        while seen[-1] < 19:
            seen += [offset for _, offset in loose()]
        behind = [offset for offset in seen if offset < 15]
        equal(seen, [*range(len(behind)), *range(15, 20)], "offsets with failOnDataLoss false")
        check(len(behind) < 15, "nothing was lost")


def stream_killed_broker(server):
    """kill -9 of the broker in the middle of an epoch, and between two."""
    if not os.environ.get("MILLRACE_LONG"):
        raise Skip("MILLRACE_LONG=1; tests/unit/connect/test_kafka_stream.c does it on the mock cluster")
    server.topic("streamkilled", 2)
    slow = {"kafka.fetch.message.max.bytes": 1000, "startingOffsets": "earliest"}
    with Epochs(server, topic="streamkilled", **slow) as stream:
        for number in range(3):
            producer = server.producer(linger_ms=0, batch_size=1000)
            for item in range(4000):
                producer.send("streamkilled", b"x" * 100, partition=item % 2)
            producer.flush()
            producer.close()
            if number == 2:
                server.restart()
            stream.process.stdin.write("epoch\n")
            stream.process.stdin.flush()
            if number < 2:
                server.restart()
            answer = json.loads(stream.process.stdout.readline())
            check("error" not in answer, answer)
            wanted = [(p, o) for p in range(2) for o in range(2000 * number, 2000 * number + 2000)]
            equal(sorted(map(tuple, answer["read"])), wanted, f"epoch {number}")


CASES = (stream_epochs, stream_transactions, stream_gone, stream_expired, stream_killed_broker)


def figures(program):
    import broker

    with broker.Broker() as server:
        for partitions in (1, 8):
            topic = server.topic(f"figures{partitions}", partitions)
            producer = server.producer(linger_ms=5)
            with Epochs(server, program, topic=topic, startingOffsets="earliest") as stream:
                for count in (0, 1000):
                    answers = []
                    for _ in range(100):
                        for number in range(count):
                            producer.send(topic, b"x" * 200, partition=number % partitions)
                        producer.flush()
                        answers.append(stream.ask())
                    equal({a["rows"] for a in answers[1:]}, {count}, "rows")
                    wall, cpu = (statistics.median(a[key] for a in answers[5:]) for key in ("wall", "cpu"))
                    most = sorted(a["wall"] for a in answers[5:])[int(len(answers) * 0.9)]
                    print(f"{partitions} partition(s), {count} records: wall {wall / 1000:.2f} ms (p95 {most / 1000:.2f}), CPU {cpu / 1000:.2f} ms")


if __name__ == "__main__":
    figures(sys.argv[-1])
