#!/bin/sh
# python.sh SCRIPT [ARGS] - runs a test in Python with $MILLRACE_PYTHON, else python3; 77 without one.
python=${MILLRACE_PYTHON:-python3}
command -v "$python" >/dev/null || { echo "no $python: skipped"; exit 77; }
exec "$python" -B "$@"
