"""A proxy in front of a broker that knows the frames of Kafka's protocol: a request of some kind, or its answer, is lost on the way, or comes late.

The broker has to advertise it (`advertised.listeners`). What becomes of a request is said by `judge(api)`, asked on a thread of the connection:
None, or one of FATES.
"""

import socket
import struct
import threading

from proxy import Listener, shut

PRODUCE, ADD_PARTITIONS, END_TXN = 0, 24, 26
FATES = {
    "request lost": "it does not arrive, and nobody says so",
    "answer lost": "it arrives, and no answer comes",
    "cut before": "the connection ends in front of it",
    "cut behind": "it is answered, and the connection ends in front of the answer",
    "late": "the connection ends in front of it, and it arrives in front of a later request, of the kind that `due` says",
}


def receive(source, size):
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data


def frame(source):
    size = receive(source, 4)
    return size + receive(source, struct.unpack(">i", size)[0])


class Link:
    """One connection: what the client asks, and what is answered."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.silent = False  # from now on nothing goes to the client
        self.cut_at_answer = None  # the number of a request
        self.answered = threading.Event()

    def run(self):
        threading.Thread(target=self.answers, daemon=True).start()
        try:
            while True:
                request = frame(self.client)
                api, _, number = struct.unpack(">hhi", request[4:12])
                if api == self.proxy.due:
                    self.proxy.deliver_late()
                if not self.act(self.proxy.judge(api), request, number):
                    break
        except OSError:
            shut(self.client, self.server)

    def act(self, fate, request, number):
        """False: no more requests are taken from the client."""
        if fate is None:
            self.server.sendall(request)
            return True
        if fate == "request lost":
            self.silent = True
        elif fate == "answer lost":
            self.silent = True
            self.server.sendall(request)
        elif fate == "cut before":
            shut(self.client, self.server)
        elif fate == "cut behind":
            self.cut_at_answer = number
            self.server.sendall(request)
        elif fate == "late":
            self.silent = True
            with self.proxy.lock:
                self.proxy.late.append((self, request))
            shut(self.client)
        return False

    def answers(self):
        try:
            while True:
                answer = frame(self.server)
                self.answered.set()
                if self.cut_at_answer == struct.unpack(">i", answer[4:8])[0]:
                    break
                if not self.silent:
                    self.client.sendall(answer)
        except OSError:
            pass
        self.answered.set()
        shut(self.client, self.server)


class KafkaProxy(Listener):
    """with KafkaProxy() as proxy: the broker advertises 127.0.0.1:proxy.port, proxy.target is the broker's own port."""

    def __init__(self):
        super().__init__()
        self.judge, self.due = lambda api: None, END_TXN
        self.lock, self.late, self.delivered = threading.Lock(), [], 0

    def deliver_late(self):
        """Held requests go out, and their answers are awaited: what follows is behind them."""
        with self.lock:
            late, self.late = self.late, []
        for link, request in late:
            link.answered.clear()
            try:
                link.server.sendall(request)
                link.answered.wait(10)
                self.delivered += 1
            except OSError:
                pass
            shut(link.server)

    def carry(self, client, server):
        for end in client, server:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Link(self, client, server).run, daemon=True).start()
