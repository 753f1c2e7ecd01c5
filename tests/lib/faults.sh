#!/bin/sh
# faults.sh - what `make check-faults` runs: the suites that need no data of others, in TAP; KILLS, SEED and MILLRACE_LONG go through.
here=$(dirname "$0")
status=0
for program in kills signals stops calls state backends checkpoint lanes; do
    [ -e "$here/../fault/$program.py" ] || continue
    sh "$here/python.sh" "$here/../fault/$program.py"
    case $? in 0 | 77) ;; *) status=1 ;; esac
done
exit $status
