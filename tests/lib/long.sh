#!/bin/sh
# long.sh - what `make check-long` runs: the suites of tests/fault/ at full length, in TAP.
here=$(dirname "$0")
status=0
for program in "$here"/../fault/run.py "$here"/../fault/alloc.py "$here"/../interop/run.py; do
    [ -e "$program" ] || continue
    sh "$here/python.sh" "$program" || status=1
done
exit $status
