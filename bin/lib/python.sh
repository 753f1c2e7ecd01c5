#!/usr/bin/env bash
# python.sh - makes .venv/ with the modules that the tests read results with (tests/requirements.txt).
set -eu
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
want=$ROOT/tests/requirements.txt
venv=$ROOT/.venv
if ! cmp -s "$want" "$venv/.requirements"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$want"
    cp "$want" "$venv/.requirements"
fi
