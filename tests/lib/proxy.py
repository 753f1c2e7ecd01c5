"""A TCP proxy that lets each connection carry so many bytes a second, as a distant or throttled server does."""

import socket
import threading
import time

CHUNK = 64 * 1024


def _pump(source, target, rate, carried):
    allowance, last = CHUNK, time.monotonic()
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
            if rate:
                carried[0] += len(data)
                allowance -= len(data)
                now = time.monotonic()
                allowance = min(allowance + (now - last) * rate, CHUNK)
                last = now
                if allowance < 0:
                    time.sleep(-allowance / rate)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Proxy:
    """with Proxy(port, rate) as proxy: connect to 127.0.0.1:proxy.port"""

    def __init__(self, port, rate):
        self.target, self.rate = port, rate
        self._carried = [0]  # about: the pumps add without a lock
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]

    def carried(self):
        """Bytes that the server has sent through so far."""
        return self._carried[0]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=_pump, args=(client, server, 0, self._carried), daemon=True).start()
            threading.Thread(target=_pump, args=(server, client, self.rate, self._carried), daemon=True).start()

    def __exit__(self, *_):
        self.listener.close()
