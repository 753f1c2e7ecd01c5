#!/bin/sh
# millrace-cron.sh FILE [options of millrace run] - one run from cron: silent when all is well, tried again where that helps.
#
# No lock file: the run holds a lease of its pipeline. A start that finds the last one still at work ends silently with 9, and the
# kernel gives the lease back when a run dies, so that none is left behind. TRIES (5) and PAUSE (300 seconds between them) can be
# set in the crontab, and MILLRACE for the command. 126 and 127 are the shell's: no such command. SIGTERM to this script is handed on, and nothing is started after it.
set -u
tries=${TRIES:-5}
log=$(mktemp) || exit 6
child=
stopped=
trap 'rm -f "$log"' EXIT
trap 'stopped=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT HUP

# Runs a command beside this shell, which would not hear a signal otherwise, and sets code.
beside() {
    "$@" &
    child=$!
    while :; do
        # Some shells say how a process died, which is no reason for a mail.
        wait "$child" 2>/dev/null
        code=$?
        kill -0 "$child" 2>/dev/null || break
    done
    child=
}

run() {
    exec "${MILLRACE:-millrace}" run "$@" --progress none --quiet >>"$log" 2>&1
}

while :; do
    beside run "$@"
    tries=$((tries - 1))
    case $code in
    0 | 9) exit "$code" ;;
    2 | 3 | 4 | 7 | 126 | 127) break ;;
    esac
    if [ -n "$stopped" ] || [ "$tries" -le 0 ]; then
        break
    fi
    beside sleep "${PAUSE:-300}"
    [ -z "$stopped" ] || { code=143; break; }
done
echo "millrace run $1: exit code $code"
cat "$log"
exit "$code"
