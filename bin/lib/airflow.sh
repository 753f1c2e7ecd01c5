#!/usr/bin/env bash
# airflow.sh - makes .venv/airflow with Airflow and a validator of Kubernetes' objects (tests/schedulers, bin/test.sh --all).
set -eu
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
want=$ROOT/tests/schedulers/requirements.txt
venv=$ROOT/.venv/airflow
if ! cmp -s "$want" "$venv/.requirements"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$want"
    cp "$want" "$venv/.requirements"
fi
