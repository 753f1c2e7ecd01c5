#!/usr/bin/env bash
# run-local.sh FILE [run options] - runs a pipeline from a checkout, on a machine that may have nothing yet.
#
# In order: installs missing Debian packages (and says so), builds when a source changed, starts the
# sandbox PostgreSQL when the pipeline reads the tree's own credentials file, the sandbox's S3 server
# when that is config/credentials-s3.json (--credentials or MILLRACE_CREDENTIALS), its Kafka broker when
# that is config/credentials-kafka.json, runs `millrace run`,
# and shows a few rows of what the last load has written. A warm start costs well under 0.3 s besides the run. Options
# go to `millrace run` as they are; the exit code is its own. Paths are relative to where you stand.
# SAMPLE_ROWS=0 in the environment leaves the sample out.
set -u
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
. "$ROOT/bin/lib/common.sh"
. "$ROOT/bin/lib/packages.sh"
. "$ROOT/bin/lib/build.sh"
. "$ROOT/bin/lib/sandbox.sh"
. "$ROOT/bin/lib/sandbox_s3.sh"
. "$ROOT/bin/lib/sandbox_kafka.sh"

usage() {
    echo "usage: bin/run-local.sh FILE [options of 'millrace run']" >&2
    exit 2
}

# The credentials file that the run will use, found as the engine finds it: option, environment,
# config/credentials.json here, beside or above the pipeline; without any, the one of this checkout.
credentials_file() {
    local previous= dir
    for word; do
        case $word in
        --credentials=*) printf '%s\n' "${word#*=}" && return ;;
        esac
        [ "$previous" = --credentials ] && printf '%s\n' "$word" && return
        previous=$word
    done
    if [ -n "${MILLRACE_CREDENTIALS-}" ]; then
        printf '%s\n' "$MILLRACE_CREDENTIALS"
        return
    fi
    dir=.
    [ -e config/credentials.json ] || dir=$(dirname "$(readlink -f "$FILE")")
    while [ ! -e "$dir/config/credentials.json" ] && [ "$dir" != / ]; do
        dir=$(dirname "$dir")
    done
    [ -e "$dir/config/credentials.json" ] || dir=$ROOT
    printf '%s\n' "$dir/config/credentials.json"
}

needs_postgres() {
    if grep -qi postgres "$FILE"; then
        require_packages run
        sandbox_up
    fi
}

# Starts what the pipeline needs around it and points the engine at it. Sets ARGUMENTS, those of the
# engine: without a --credentials that names a file of the tree, since its ports may have moved.
prepare_sandbox() {
    local file
    ARGUMENTS=("$@")
    file=$(credentials_file "$@")
    if [ "$file" -ef "$ROOT/config/credentials.json" ]; then
        export MILLRACE_CREDENTIALS=$ROOT/config/credentials.json
        needs_postgres
        if [ -e "$SANDBOX/credentials.json" ]; then
            MILLRACE_CREDENTIALS=$SANDBOX/credentials.json
        fi
    elif [ "$file" -ef "$S3_FILE" ]; then
        needs_postgres
        s3_up
        MILLRACE_CREDENTIALS=$(s3_credentials) || exit 1
        export MILLRACE_CREDENTIALS
    elif [ "$file" -ef "$KAFKA_FILE" ]; then
        needs_postgres
        kafka_up
        MILLRACE_CREDENTIALS=$(kafka_credentials) || exit 1
        if grep -q '"topic": *"clicks"' "$FILE"; then
            FEED=1
            kafka_send_clicks 2000 || die "the sandbox topic could not be loaded"
        fi
        export MILLRACE_CREDENTIALS
    else
        return 0
    fi
    without_credentials "$@"
}

without_credentials() {
    ARGUMENTS=()
    while [ $# -gt 0 ]; do
        case $1 in
        --credentials) [ $# -gt 1 ] && shift ;;
        --credentials=*) ;;
        *) ARGUMENTS+=("$1") ;;
        esac
        shift
    done
}

# The engine runs beside this shell, so that a signal sent to the shell alone reaches it too. A
# terminal's Ctrl-C is sent to both; it is not sent on, for a second one would mean "at once".
run_engine() {
    local status
    trap : INT
    "$BUILD/millrace" run "$FILE" "$@" <&0 &
    ENGINE=$!
    if [ -n "${FEED-}" ]; then
        kafka_feed "$ENGINE" </dev/null >/dev/null 2>&1 &
    fi
    trap 'kill -TERM $ENGINE 2>/dev/null' TERM HUP
    wait "$ENGINE"
    status=$?
    while kill -0 "$ENGINE" 2>/dev/null; do
        wait "$ENGINE"
        status=$?
    done
    trap - INT TERM HUP
    return "$status"
}

sample() {
    local rows=${SAMPLE_ROWS-5} options=()
    while [ $# -gt 0 ]; do
        case $1 in
        --param | --conf | --credentials | --state) options+=("$1" "${2-}") && shift ;;
        --param=* | --conf=* | --credentials=* | --state=*) options+=("$1") ;;
        esac
        shift
    done
    if [ "$rows" -gt 0 ] && grep -qi '"load"' "$FILE"; then
        printf '\nSample of the result:\n'
        "$BUILD/millrace" preview "$FILE" --written --rows "$rows" "${options[@]}"
    fi
}

[ $# -ge 1 ] || usage
case $1 in
-*) usage ;;
esac
FILE=$1
shift
[ -r "$FILE" ] || { say "cannot read $FILE"; exit 2; }

build_is_fresh_or_install() {
    BUILD=$ROOT/build
    build_is_fresh || require_packages build
    build_if_needed
}

build_is_fresh_or_install
prepare_sandbox "$@"
run_engine "${ARGUMENTS[@]}"
status=$?
if [ "$status" -eq 0 ]; then
    sample "${ARGUMENTS[@]}"
fi
exit "$status"
