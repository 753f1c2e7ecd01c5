"""A TCP proxy that lets each connection carry so many bytes a second, as a distant or throttled server does, or that stalls."""

import socket
import threading
import time

CHUNK = 64 * 1024


def _pump(source, target, rate, carried, flows):
    allowance, last = CHUNK, time.monotonic()
    try:
        while data := source.recv(CHUNK):
            flows.wait()
            target.sendall(data)
            if carried:
                carried[0] += len(data)
            if rate:
                allowance -= len(data)
                now = time.monotonic()
                allowance = min(allowance + (now - last) * rate, CHUNK)
                last = now
                if allowance < 0:
                    time.sleep(-allowance / rate)
    except OSError:
        pass
    shut(source, target)


def shut(*ends):
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Listener:
    """Accepts at 127.0.0.1:port, connects to the port `target` of this host for each client, and gives both to `carry`."""

    def __init__(self, target=None):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]

    def carry(self, client, server):
        raise NotImplementedError

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.carry(client, server)

    def __exit__(self, *_):
        self.listener.close()


class Proxy(Listener):
    """with Proxy(port, rate) as proxy: connect to 127.0.0.1:proxy.port. stall() makes it accept and carry nothing more, until flow()."""

    def __init__(self, port, rate):
        super().__init__(port)
        self.rate = rate
        self._flows = threading.Event()
        self._flows.set()
        self._carried = [0]  # about: the pumps add without a lock

    def carried(self):
        """Bytes that the server has sent through so far."""
        return self._carried[0]

    def stall(self):
        self._flows.clear()

    def flow(self):
        self._flows.set()

    def carry(self, client, server):
        threading.Thread(target=_pump, args=(client, server, 0, None, self._flows), daemon=True).start()
        threading.Thread(target=_pump, args=(server, client, self.rate, self._carried, self._flows), daemon=True).start()

    def __exit__(self, *_):
        self.flow()
        super().__exit__()
