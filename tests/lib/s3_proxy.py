"""A proxy between an S3 client and its server that does what networks and loaded servers do.

The Host header stays as the client sent it, so that signatures hold. A script, a function of the request, says what goes
wrong with it; what it lets through is moved in large pieces by a thread each connection (about 1 GB/s), so that
the speed of a client is not hidden. Requests and replies are read as HTTP/1.1 with Content-Length or chunks.

    with S3Proxy(s3.port, script) as proxy:       # script(request) -> Fault or None
        ... proxy.endpoint ...
        proxy.seen                                # what came, in order, and what was answered
"""

import email.utils
import socket
import struct
import threading
import time
import urllib.parse

PIECE = 256 * 1024


class Request:
    """What came: method, path, query (a dict), headers (names in lower case), nth (from 1, of this method, path and query
    names), number (from 1, of all), operation ("PutObject", "UploadPart", ...)."""

    def __init__(self, method, target, headers):
        self.method, self.target, self.headers = method, target, headers
        self.path, _, text = target.partition("?")
        self.path = urllib.parse.unquote(self.path)
        self.query = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
        self.nth = self.number = 0
        self.fault = self.status = None

    @property
    def key(self):
        parts = self.path.lstrip("/").split("/", 1)
        return parts[1] if len(parts) > 1 else ""

    @property
    def operation(self):
        method, query = self.method, self.query
        if not self.key:
            if method == "GET":
                return "ListMultipartUploads" if "uploads" in query else "ListObjects"
            return {"PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}.get(method, "DeleteObjects")
        if method == "POST":
            return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
        if "uploadId" in query:
            return {"PUT": "UploadPart", "GET": "ListParts", "DELETE": "AbortMultipartUpload"}[method]
        return {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}[method]

    def __repr__(self):
        return f"{self.operation} {self.target} #{self.nth} -> {self.fault.name if self.fault else ''} {self.status}"


class Fault:
    """What happens to one request. Made by the functions below."""

    def __init__(self, name, **more):
        self.name = name
        self.reply = None      # bytes: sent instead of the server's answer
        self.passed = True     # whether the server sees the request
        self.cut_reply = None  # body bytes of the reply that get through before the end
        self.cut_upload = None  # body bytes of the request that are taken before the end
        self.reset = False     # the end is a reset, not an orderly close
        self.delay = 0.0       # seconds before the reply's first byte
        self.rate = None       # bytes a second of the reply's body
        self.hang = False
        for key, value in more.items():
            setattr(self, key, value)


def document(status, code, message="made by the proxy", headers=(), extra=""):
    body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{extra}'
            "<RequestId>proxy</RequestId></Error>").encode()
    lines = [f"HTTP/1.1 {status} {code}", "Content-Type: application/xml", f"Content-Length: {len(body)}",
             f"Date: {email.utils.formatdate(usegmt=True)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(status, code, headers=()):
    """The server is never asked."""
    return Fault(code, passed=False, reply=document(status, code, headers=headers))


def slow_down(retry_after=None):
    return error(503, "SlowDown", [f"Retry-After: {retry_after}"] if retry_after is not None else [])


def internal_error():
    return error(500, "InternalError")


def full_disk():
    return error(507, "InsufficientStorage")


def skewed(seconds=300):
    """403 RequestTimeTooSkewed from a server whose clock seems ahead by so much; the real one bears 15 minutes."""
    date = f"Date: {email.utils.formatdate(time.time() + seconds, usegmt=True)}"
    reply = document(403, "RequestTimeTooSkewed").split(b"\r\n")
    return Fault("RequestTimeTooSkewed", passed=False, reply=b"\r\n".join(date.encode() if x.startswith(b"Date:") else x for x in reply))


def redirect(region, bucket="bucket"):
    return Fault("PermanentRedirect", passed=False, reply=document(
        301, "PermanentRedirect", headers=[f"x-amz-bucket-region: {region}"],
        extra=f"<Bucket>{bucket}</Bucket><Endpoint>{bucket}.s3.{region}.amazonaws.com</Endpoint>"))


def error_inside(code="InternalError", passed=False):
    """200, and an error in the document; `passed`: although the server did it."""
    return Fault(f"{code} in 200", passed=passed, reply=document(200, code))


def drop_reply():
    """The server does it and answers; the connection ends before a byte of that arrives."""
    return Fault("reply dropped", cut_reply=-1, reset=True)


def reset_reply(after=0):
    return Fault("reset", cut_reply=after, reset=True)


def truncate_reply(after=0):
    """Orderly close in the middle of the body."""
    return Fault("truncated", cut_reply=after)


def reset_upload(after=0):
    """The connection ends after so many bytes of the request's body; the server never sees it."""
    return Fault("upload reset", passed=False, cut_upload=after, reset=True)


def late(seconds):
    return Fault("late", delay=seconds)


def slow(rate):
    return Fault("slow", rate=rate)


def hang(passed=False):
    """No answer until the client gives up or the proxy ends."""
    return Fault("hang", passed=passed, hang=True)


class Gone(Exception):
    """An end of the connection went away."""


class Flow:
    """At most so many bytes a second through one connection, both directions together."""

    def __init__(self, rate):
        self.rate, self.due = rate, time.monotonic()

    @property
    def piece(self):
        return min(PIECE, max(1024, self.rate // 50)) if self.rate else PIECE

    def pass_on(self, size):
        if not self.rate:
            return
        now = time.monotonic()
        self.due = max(self.due, now - 0.05) + size / self.rate
        if self.due > now:
            time.sleep(self.due - now)


class End:
    """One side of a connection with what was read beyond a head."""

    def __init__(self, sock):
        self.sock, self.rest = sock, b""
        self.buffer = memoryview(bytearray(PIECE))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self):
        """First line and headers, or None at the end of the connection."""
        data = self.rest
        while (at := data.find(b"\r\n\r\n")) < 0:
            more = self.sock.recv(65536)
            if not more:
                return None
            data += more
        self.rest = data[at + 4:]
        first, *lines = data[:at].decode("latin-1").split("\r\n")
        return first, [tuple(part.strip() for part in line.split(":", 1)) for line in lines]

    def read(self, most):
        if self.rest:
            data, self.rest = self.rest[:most], self.rest[most:]
            return data
        size = self.sock.recv_into(self.buffer[:most])
        if size == 0:
            raise Gone
        return self.buffer[:size]

    def line(self):
        while b"\r\n" not in self.rest:
            more = self.sock.recv(65536)
            if not more:
                raise Gone
            self.rest += more
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line


def _lookup(headers, name):
    return next((v for k, v in headers if k.lower() == name), None)


def _head(first, headers):
    return "\r\n".join([first, *(f"{k}: {v}" for k, v in headers)]).encode("latin-1") + b"\r\n\r\n"


def _move(source, target, size, flow, limit=None):
    """Moves a body of known size, or the first `limit` bytes of it; target None drops it. Raises Gone at the limit."""
    moved = 0
    while moved < size:
        most = min(flow.piece, size - moved)
        if limit is not None:
            most = min(most, limit - moved)
            if most <= 0:
                raise Gone
        data = source.read(most)
        flow.pass_on(len(data))
        if target:
            target.sock.sendall(data)
        moved += len(data)


def _move_chunks(source, target, flow, limit=None):
    moved = 0
    while True:
        line = source.line()
        size = int(line.split(b";")[0], 16)
        if target:
            target.sock.sendall(line + b"\r\n")
        _move(source, target, size, flow, None if limit is None else limit - moved)
        moved += size
        tail = source.line()
        while size == 0 and tail:  # trailers
            if target:
                target.sock.sendall(tail + b"\r\n")
            tail = source.line()
        if target:
            target.sock.sendall(b"\r\n")
        if size == 0:
            return


def _move_body(source, target, headers, flow, limit=None):
    if (_lookup(headers, "transfer-encoding") or "").lower() == "chunked":
        _move_chunks(source, target, flow, limit)
    else:
        _move(source, target, int(_lookup(headers, "content-length") or 0), flow, limit)


class S3Proxy:
    def __init__(self, port, script=None, rate=None, latency=0.0):
        """`rate`: bytes a second of each connection; `latency`: seconds added to each request."""
        self.target, self.script, self.rate, self.latency = port, script, rate, latency
        self.seen = []
        self._lock = threading.Lock()
        self._counts = {}
        self._over = threading.Event()
        self._open = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.listener.close()
        with self._lock:
            for sock in self._open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def count(self, operation, fault=None):
        """Requests of that kind so far, and with that fault."""
        with self._lock:
            return sum(r.operation == operation and (fault is None or (r.fault and r.fault.name == fault)) for r in self.seen)

    def faults(self):
        with self._lock:
            return sum(r.fault is not None for r in self.seen)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, sock):
        client, server = End(sock), None
        flow = Flow(self.rate)
        with self._lock:
            self._open.add(sock)
        try:
            while (head := client.head()) is not None:
                if server is None:
                    server = End(socket.create_connection(("127.0.0.1", self.target)))
                if not self._exchange(client, server, head, flow):
                    break
        except (OSError, Gone):
            pass
        with self._lock:
            self._open.discard(sock)
        for end in (client, server):
            if end:
                end.sock.close()

    def _note(self, request):
        kind = (request.method, request.path, tuple(sorted(request.query)))
        with self._lock:
            self.seen.append(request)
            request.number = len(self.seen)
            request.nth = self._counts[kind] = self._counts.get(kind, 0) + 1
        request.fault = self.script(request) if self.script else None

    def _exchange(self, client, server, head, flow):
        """One request and its reply; False when the connection is over."""
        first, headers = head
        method, target, _ = first.split(" ", 2)
        request = Request(method, target, {k.lower(): v for k, v in headers})
        self._note(request)
        fault = request.fault or Fault("")
        if request.headers.get("expect", "").lower() == "100-continue":
            client.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            headers = [(k, v) for k, v in headers if k.lower() != "expect"]
        if fault.passed:
            server.sock.sendall(_head(first, headers))
        try:
            _move_body(client, server if fault.passed else None, headers, flow, fault.cut_upload)
        except Gone:
            return self._end(client, fault)
        if fault.cut_upload is not None:
            return self._end(client, fault)
        wait = self.latency + fault.delay
        if wait:
            self._over.wait(wait)
        return self._reply(client, server, request, fault, flow)

    def _reply(self, client, server, request, fault, flow):
        answer = None
        if fault.passed:
            answer = server.head()
            while answer and answer[0].split(" ")[1] == "100":
                answer = server.head()
            if answer is None:
                raise Gone
            request.status = int(answer[0].split(" ")[1])
        if fault.hang:
            client.sock.settimeout(0.05)
            while not self._over.is_set():
                try:
                    if not client.sock.recv(1):
                        break
                except TimeoutError:
                    pass
            return False
        if fault.reply is not None:
            if answer and request.method != "HEAD":
                _move_body(server, None, answer[1], Flow(None))
            request.status = int(fault.reply.split(b" ", 2)[1])
            client.sock.sendall(fault.reply.split(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else fault.reply)
            return True
        return self._relay(client, server, answer, request, fault, flow)

    def _relay(self, client, server, answer, request, fault, flow):
        first, headers = answer
        bodiless = request.method == "HEAD" or request.status in (204, 304)
        flow = Flow(fault.rate) if fault.rate else flow
        if fault.cut_reply == -1:
            if not bodiless:
                _move_body(server, None, headers, flow)
            return self._end(client, fault)
        client.sock.sendall(_head(first, headers))
        try:
            if not bodiless:
                _move_body(server, client, headers, flow, fault.cut_reply)
        except Gone:
            return self._end(client, fault)
        if fault.cut_reply is not None:
            return self._end(client, fault)
        return (_lookup(headers, "connection") or "").lower() != "close"

    @staticmethod
    def _end(client, fault):
        if fault.reset:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


def first(count, fault, *operations):
    """A script: the first `count` requests of these operations (none given: of any) meet the fault."""
    left, lock = [count], threading.Lock()

    def script(request):
        if operations and request.operation not in operations:
            return None
        with lock:
            left[0] -= 1
            return fault if left[0] >= 0 else None

    return script


def every(period, *faults, operations=()):
    """A script: every so-manieth request meets the next of the faults, but no request (by nth) twice in a row."""
    count, lock = [0], threading.Lock()

    def script(request):
        if operations and request.operation not in operations:
            return None
        with lock:
            count[0] += 1
            if count[0] % period or request.nth % 2 == 0:
                return None
            return faults[(count[0] // period) % len(faults)]

    return script
