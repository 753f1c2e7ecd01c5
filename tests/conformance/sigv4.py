"""Signature Version 4 against the public vectors: one folder each, with request.txt, context.json, what is signed
and the signature.

The header-* half is run on every vector: canonical request, and signature in the Authorization header. The query-* half
(presigned URLs) is left out by name below: Millrace makes no presigned URLs. Where a vector wants its path folded, which
S3 must not do, the signer is told to. What S3 sees otherwise is tested with vectors made by botocore in
tests/unit/store/test_sigv4.c.
"""

import hashlib
import json
import os
import subprocess
import urllib.parse

from suite import equal

EXCLUDED = {"query-": "a presigned URL, which Millrace never makes"}


def _signer():
    build = os.path.dirname(os.path.realpath(os.environ.get("MILLRACE_BIN", "build/millrace")))
    return os.path.join(build, "tests/unit/store/sigv4_sign")


def _parse(text):
    """(method, path, query pairs, header pairs, body) of an HTTP request as the vectors write it."""
    head, _, body = text.partition("\n\n")
    lines = head.split("\n")
    method, rest = lines[0].split(" ", 1)
    target = rest.rsplit(" ", 1)[0]
    path, _, query = target.partition("?")
    pairs = [urllib.parse.unquote(p) for p in query.split("&") if p]
    headers = []
    for line in lines[1:]:
        if line[:1] in " \t":
            headers[-1][1] += "\n" + line
        elif line:
            name, _, value = line.partition(":")
            headers.append([name, value])
    return method, path, [(p.partition("=")[0], p.partition("=")[2]) for p in pairs], headers, body


def _read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


def verify(signer, folder):
    context = json.loads(_read(folder, "context.json"))
    method, path, query, headers, body = _parse(_read(folder, "request.txt"))
    date = context["timestamp"].replace("-", "").replace(":", "")
    digest = hashlib.sha256(body.encode()).hexdigest()
    headers.append(["X-Amz-Date", date])
    if context.get("sign_body"):
        headers.append(["x-amz-content-sha256", digest])
    token = context["credentials"].get("token")
    if token and not context.get("omit_session_token"):
        headers.append(["X-Amz-Security-Token", token])
    request = {
        "method": method, "path": urllib.parse.unquote(path), "query": query, "headers": headers, "payload_hash": digest,
        "date": date, "normalize": context["normalize"], "double_encode": False, "region": context["region"],
        "service": context["service"], "access_key": context["credentials"]["access_key_id"],
        "secret_key": context["credentials"]["secret_access_key"],
    }
    run = subprocess.run([signer], input=json.dumps(request), capture_output=True, text=True, check=True)
    canonical, _, authorization = run.stdout.partition("\n---\n")
    equal(canonical, _read(folder, "header-canonical-request.txt").rstrip("\n"), "canonical request")
    equal(authorization.strip().rpartition("Signature=")[2], _read(folder, "header-signature.txt").strip(), "signature")


def run(suite, directory):
    signer = _signer()
    for name in sorted(os.listdir(directory)):
        suite.case(f"sigv4 {name}", verify, signer, os.path.join(directory, name))
    for part, why in EXCLUDED.items():
        print(f"# sigv4: {part}* of every vector is left out: {why}")
