#!/usr/bin/env bash
# sandbox.sh start|start-s3|start-kafka|stop|stop-s3|stop-kafka|psql|kcat|remove - the sandbox servers by hand; run-local.sh starts them by itself.
set -u
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
. "$ROOT/bin/lib/common.sh"
. "$ROOT/bin/lib/packages.sh"
. "$ROOT/bin/lib/sandbox.sh"
. "$ROOT/bin/lib/sandbox_s3.sh"
. "$ROOT/bin/lib/sandbox_kafka.sh"

case ${1-} in
start)
    require_packages run
    sandbox_up
    say "127.0.0.1:$(<"$SANDBOX/port"), database $SANDBOX_DB, role $SANDBOX_ROLE"
    ;;
start-s3)
    s3_up
    say "http://127.0.0.1:$(<"$S3_PLACE/port"), keys in $(s3_credentials)"
    ;;
start-kafka)
    kafka_up
    say "127.0.0.1:$(<"$KAFKA_PLACE/port"), topic events, credentials in $(kafka_credentials)"
    ;;
stop)
    sandbox_stop
    s3_stop
    kafka_stop
    ;;
stop-s3) s3_stop ;;
stop-kafka) kafka_stop ;;
psql)
    shift
    sandbox_up
    PGBIN=$(server_binaries)
    PGPASSWORD=$(credential "$ROOT/config/credentials.json" password) exec "$PGBIN/psql" \
        -h 127.0.0.1 -p "$(<"$SANDBOX/port")" -U "$SANDBOX_ROLE" -d "$SANDBOX_DB" "$@"
    ;;
kcat)
    shift
    kafka_up </dev/null
    exec kcat -b "127.0.0.1:$(<"$KAFKA_PLACE/port")" "$@"
    ;;
remove)
    sandbox_stop
    s3_stop
    kafka_stop
    [ -s "$SANDBOX/place" ] && rm -rf "$(<"$SANDBOX/place")"
    rm -rf "$SANDBOX"
    ;;
*)
    echo "usage: bin/sandbox.sh start|start-s3|start-kafka|stop|stop-s3|stop-kafka|psql [ARGS]|kcat ARGS|remove" >&2
    exit 2
    ;;
esac
