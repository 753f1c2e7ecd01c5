"""A private Apache Kafka broker for a suite: one node (KRaft), its own folder and ports, gone at the end; or a Cluster of several.

bin/lib/kafka.sh fetches it. Transactions, fencing, read_committed and retention are the real ones, which librdkafka's mock cluster
only pretends to have. The client used here is kafka-python, which shares no code with librdkafka.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from engine import Workspace
from private import Private, free_ports
from suite import checkout, skip_all

SETTINGS = """
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={place}/data
auto.create.topics.enable=false
num.partitions=1
num.network.threads=2
num.io.threads=3
offsets.topic.num.partitions=2
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=500
log.retention.ms=-1
log.cleaner.backoff.ms=200
log.cleaner.dedupe.buffer.size=4000000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
message.max.bytes=10485760
controlled.shutdown.enable=false
"""

SECURE = """
sasl.enabled.mechanisms=PLAIN
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={place}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={place}/ca.pem
"""


# Every partition on three nodes, two of which have to have a record; a dead node is missed soon.
REPLICATED = """
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=300
controller.quorum.election.timeout.ms=300
controller.quorum.fetch.timeout.ms=1000
replica.fetch.wait.max.ms=100
replica.lag.time.max.ms=2000
controlled.shutdown.enable=true
"""


def jars():
    """The folder of the broker's program, or None."""
    place = os.environ.get("MILLRACE_KAFKA") or os.path.join(checkout(), ".venv", "kafka", "jars")
    return place if os.path.isdir(place) and shutil.which("java") else None


def need():
    """Ends the program as skipped where there is no broker."""
    if jars() is None:
        skip_all("no Kafka broker (bin/lib/kafka.sh; Java)")


def workspace(server, postgres=None, state=None):
    """A Workspace whose credentials name the broker, and a PostgreSQL or the server of the state as keys of theirs."""
    defaults = {"kafka": {"bootstrap.servers": server.servers}, **({"postgres": postgres} if postgres else {})}
    return Workspace(extra={"defaults": defaults, **({"state": state} if state else {})})


class Client:
    """What tests ask of a broker, and of a cluster."""

    replicas = 1

    def admin(self):
        from kafka import KafkaAdminClient

        return KafkaAdminClient(bootstrap_servers=self.servers)

    def topic(self, name, partitions=1, **configs):
        """Makes a topic; settings with underscores for dots: retention_ms=100."""
        from kafka.admin import NewTopic

        configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        admin = self.admin()
        try:
            admin.create_topics([NewTopic(name, partitions, self.replicas, topic_configs=configs)])
            admin.wait_for_topics([name])
        finally:
            admin.close()
        return name

    def topics(self, names, partitions=1):
        """Several at once."""
        from kafka.admin import NewTopic

        admin = self.admin()
        try:
            admin.create_topics([NewTopic(name, partitions, self.replicas) for name in names])
            admin.wait_for_topics(names)
        finally:
            admin.close()

    def _ends(self, parts):
        """High watermarks."""
        from kafka import KafkaConsumer

        consumer = KafkaConsumer(bootstrap_servers=self.servers, group_id=None)
        try:
            return consumer.end_offsets(parts)
        finally:
            consumer.close()

    def open_transactions(self, topic):
        """Partitions with records that are neither committed nor aborted, and how many offsets are behind the first of them."""
        from kafka import KafkaConsumer, TopicPartition

        ends = []
        for level in ("read_committed", "read_uncommitted"):
            consumer = KafkaConsumer(bootstrap_servers=self.servers, isolation_level=level, group_id=None)
            try:
                parts = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
                ends.append(consumer.end_offsets(parts))
            finally:
                consumer.close()
        return [(p.partition, ends[1][p] - ends[0][p]) for p in parts if ends[0][p] != ends[1][p]]

    def count(self, topic):
        """Offsets of all partitions that read_committed reaches."""
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(bootstrap_servers=self.servers, isolation_level="read_committed", group_id=None)
        try:
            return sum(consumer.end_offsets([TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]).values())
        finally:
            consumer.close()

    def delete_records(self, topic, offsets):
        """Forgets what is in front of {partition: offset}."""
        from kafka import TopicPartition

        admin = self.admin()
        try:
            admin.delete_records({TopicPartition(topic, p): o for p, o in offsets.items()})
        finally:
            admin.close()

    def producer(self, **settings):
        from kafka import KafkaProducer

        return KafkaProducer(bootstrap_servers=self.servers, **settings)

    def read(self, topic, committed=True, patience=20):
        """All records, by partition and offset, as kafka-python sees them.

        An EndTxn is answered when the end is decided; the partitions learn it a moment later, one by one. So who wants what is committed
        waits until no transaction is open, at most for `patience` seconds.
        """
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(
            bootstrap_servers=self.servers, enable_auto_commit=False, auto_offset_reset="earliest", group_id=None,
            isolation_level="read_committed" if committed else "read_uncommitted", max_partition_fetch_bytes=16 << 20,
        )
        try:
            parts = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
            ends = consumer.end_offsets(parts)
            deadline = time.monotonic() + patience
            while committed and patience and self._ends(parts) != ends and time.monotonic() < deadline:
                time.sleep(0.02)
                ends = consumer.end_offsets(parts)
            consumer.assign(parts)
            consumer.seek_to_beginning(*parts)
            found = []
            while any(consumer.position(p) < ends[p] for p in parts):
                for records in consumer.poll(timeout_ms=1000).values():
                    found += records
            return sorted(found, key=lambda r: (r.partition, r.offset))
        finally:
            consumer.close()


class Broker(Client, Private):
    """with Broker() as broker: broker.topic("t", 4); broker.servers ..."""

    user, password = "mill", "race-secret"

    def __init__(self, secure=False, settings="", heap="256m", node=1, ports=None):
        self.jars = jars()
        if self.jars is None:
            raise RuntimeError("no Kafka broker (bin/lib/kafka.sh; Java)")
        self.place = tempfile.mkdtemp(prefix="millrace-kafka-")
        self.port, secure_port, self.controller = ports or free_ports(3)
        self.servers = f"127.0.0.1:{self.port}"
        self.heap = heap
        self.process = None
        listeners = f"PLAINTEXT://{self.servers}"
        if secure:
            self.secure_servers = f"localhost:{secure_port}"
            listeners += f",SECURE://{self.secure_servers}"
            self._certificates()
            settings += SECURE.format(place=self.place, user=self.user, password=self.password)
        self.node, self.listeners, self.settings = node, listeners, settings
        self.voter = f"{node}@127.0.0.1:{self.controller}"

    def _certificates(self):
        """A CA of our own, and a certificate of localhost signed by it."""
        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=self.place, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
        with open(f"{self.place}/names", "w") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.crt", "-days", "2",
                "-extfile", "names")
        with open(f"{self.place}/server.pem", "w") as out:
            for name in ("server.key", "server.crt"):
                out.write(open(f"{self.place}/{name}").read())

    def _java(self, *words):
        small = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        log4j = f"-Dlog4j2.configurationFile={checkout()}/bin/kafka/log4j2.properties"
        return ["java", f"-Xmx{self.heap}", *small, log4j, "-cp", f"{self.jars}/*", *words]

    def prepare(self, voters=None):
        """Its settings and an empty log."""
        with open(f"{self.place}/server.properties", "w") as file:
            file.write(SETTINGS.format(listeners=self.listeners, controller=self.controller, place=self.place, node=self.node, voters=voters or self.voter)
                       + self.settings)
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", f"{self.place}/server.properties"),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"kafka format: {done.stdout}{done.stderr}")

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.place, ignore_errors=True)

    def log(self):
        path = f"{self.place}/log"
        return open(path, errors="replace").read()[-4000:] if os.path.exists(path) else ""

    def launch(self):
        with open(f"{self.place}/log", "a") as log:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", f"{self.place}/server.properties"), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def await_port(self, seconds=120):
        deadline = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the broker ended: {self.log()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def start(self, seconds=120):
        """Returns once it answers."""
        self.launch()
        self.await_port(seconds)
        self.admin().close()

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self):
        """The same data and ports."""
        self.kill()
        self.start()


class Cluster(Client, Private):
    """with Cluster() as cluster: three nodes, each a broker and a voter of the controllers; any one of them may be away."""

    replicas = 3

    def __init__(self, settings="", heap="256m"):
        ports = free_ports(9)
        self.nodes = {n + 1: Broker(settings=REPLICATED + settings, heap=heap, node=n + 1, ports=ports[3 * n:3 * n + 3]) for n in range(3)}
        self.servers = ",".join(node.servers for node in self.nodes.values())

    def prepare(self):
        voters = ",".join(node.voter for node in self.nodes.values())
        for node in self.nodes.values():
            node.prepare(voters)

    def __exit__(self, *_):
        for node in self.nodes.values():
            node.__exit__()

    def start(self):
        """Those that are not running; returns once all answer."""
        for node in self.nodes.values():
            if node.process is None:
                node.launch()
        for node in self.nodes.values():
            node.await_port()
        self.await_brokers(3)

    def await_brokers(self, count, seconds=120):
        deadline = time.monotonic() + seconds
        while True:
            try:
                admin = self.admin()
                try:
                    found = len(admin.describe_cluster()["brokers"])
                finally:
                    admin.close()
                if found == count:
                    return
            except Exception as error:  # no quorum yet
                found = repr(error)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{found} of {count} brokers: " + "\n".join(node.log()[-1000:] for node in self.nodes.values()))
            time.sleep(0.1)

    def partitions(self, *topics):
        """{(topic, partition): (leader, replicas, replicas in sync)}"""
        admin = self.admin()
        try:
            return {(t["name"], p["partition_index"]): (p["leader_id"], list(p["replica_nodes"]), list(p["isr_nodes"]))
                    for t in admin.describe_topics(list(topics)) for p in t["partitions"]}
        finally:
            admin.close()

    def await_in_sync(self, *topics, seconds=120):
        """Until each partition is on all nodes and has a leader."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self.partitions(*topics)
                if found and all(len(isr) == 3 and leader > 0 for leader, _, isr in found.values()):
                    return found
            except Exception as error:
                found = repr(error)
            if time.monotonic() > deadline:
                raise RuntimeError(f"not in sync: {found}")
            time.sleep(0.1)

    def move_leaders(self, *topics):
        """Each partition gets the next of its nodes as a leader: replicas in another order, then the election of the preferred one."""
        from kafka import TopicPartition

        now = self.partitions(*topics)
        wanted = {}
        for (topic, partition), (leader, replicas, _) in now.items():
            at = replicas.index(leader) + 1 if leader in replicas else 0
            wanted[TopicPartition(topic, partition)] = replicas[at:] + replicas[:at]
        admin = self.admin()
        try:
            admin.alter_partition_reassignments(wanted)
            deadline = time.monotonic() + 60
            while admin.list_partition_reassignments():
                if time.monotonic() > deadline:
                    raise RuntimeError("a reassignment does not end")
                time.sleep(0.05)
            topics = {}
            for place in wanted:
                topics.setdefault(place.topic, []).append(place.partition)
            admin.elect_leaders(0, topics, raise_errors=False)
        finally:
            admin.close()
        return len(wanted)
