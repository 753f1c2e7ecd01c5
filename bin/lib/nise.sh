#!/usr/bin/env bash
# nise.sh - makes .venv/nise with koku-nise, which makes reports of usage (tests/examples/daily_nise.py, bin/test.sh --all).
set -eu
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
version=5.4.4
venv=$ROOT/.venv/nise
if [ "$(cat "$venv/.version" 2>/dev/null)" != "$version" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check "koku-nise==$version"
    echo "$version" >"$venv/.version"
fi
