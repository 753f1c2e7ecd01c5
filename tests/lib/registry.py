"""A schema registry for tests: the few requests of Confluent's REST interface that a client needs, over HTTP or HTTPS.

Ids count from 1; `broken` is how many requests are answered 503 before the next good one; `asked` lists method and path of all of them.
"""

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Registry:
    """with Registry() as registry: registry.add("events-value", schema) -> id; registry.url"""

    def __init__(self, user=None, certificate=None):
        self.user = user  # "name:password"
        self.lock = threading.Lock()
        self.schemas = {}  # id -> what an answer has of it
        self.subjects = {}  # name -> ids
        self.asked = []
        self.broken = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = f"localhost:{self.server.server_port}"
        self.url = f"{'https' if certificate else 'http'}://{self.address}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def add(self, subject, schema, **more):
        """Registers; the same text has the same id. `more`: schemaType, references."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        with self.lock:
            entry = {"schema": text, **more}
            number = next((n for n, known in self.schemas.items() if known == entry), len(self.schemas) + 1)
            self.schemas[number] = entry
            ids = self.subjects.setdefault(subject, [])
            if number not in ids:
                ids.append(number)
            return number

    def count(self, part):
        """Requests whose path holds `part`."""
        with self.lock:
            return sum(part in path for _, path in self.asked)

    def _answer(self, method, path, body):
        parts = [unquote(p) for p in path.strip("/").split("/")]
        if method == "GET" and parts[:2] == ["schemas", "ids"]:
            entry = self.schemas.get(int(parts[2]))
            return (200, entry) if entry else (404, {"error_code": 40403, "message": "Schema not found"})
        if method == "GET" and parts[0] == "subjects" and parts[2:] == ["versions", "latest"]:
            ids = self.subjects.get(parts[1])
            if not ids:
                return 404, {"error_code": 40401, "message": f"Subject '{parts[1]}' not found."}
            return 200, {"subject": parts[1], "version": len(ids), "id": ids[-1], **self.schemas[ids[-1]]}
        if method == "POST" and parts[0] == "subjects" and parts[2:] == ["versions"]:
            try:
                json.loads(body["schema"])
            except ValueError:
                return 422, {"error_code": 42201, "message": "Invalid schema"}
            return 200, {"id": self.add(parts[1], body["schema"])}
        return None

    def _handler(registry):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def reply(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else {}
                with registry.lock:
                    registry.asked.append((self.command, self.path))
                    broken = registry.broken > 0
                    registry.broken -= broken
                wanted = registry.user and "Basic " + base64.b64encode(registry.user.encode()).decode()
                if broken:
                    status, found = 503, {"error_code": 50301, "message": "starting"}
                elif wanted and self.headers.get("Authorization") != wanted:
                    status, found = 401, {"error_code": 40101, "message": "Unauthorized"}
                else:
                    status, found = registry._answer(self.command, self.path, body) or (404, {})
                data = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = reply

        return Handler
