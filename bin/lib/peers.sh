#!/usr/bin/env bash
# peers.sh - puts the peers of `make bench-peers` into .venv/ beside the modules of the tests.
set -eu
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
want=$ROOT/tests/bench/requirements.txt
"$ROOT/bin/lib/python.sh"
if ! cmp -s "$want" "$ROOT/.venv/.peers"; then
    "$ROOT/.venv/bin/pip" install -q --disable-pip-version-check -r "$want"
    cp "$want" "$ROOT/.venv/.peers"
fi
