#!/usr/bin/env bash
# test.sh [--all] [SUITE..] - everything that continuous integration runs; the last line is "N passed, N failed".
#
# Installs what the tests need; builds with gcc (warnings are errors), with the address and undefined
# sanitizers, with the thread sanitizer and with clang, each in its own folder under build-test/, and
# runs the unit tests in the first three. The suites in Python run against private PostgreSQL
# and S3 servers and read the results with pyarrow and DuckDB. --all adds what takes long: make check-long
# and make distcheck. RUN_LIMIT=SECONDS: what is not done then fails. Names choose suites, those of SUITES below.
set -u
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
. "$ROOT/bin/lib/common.sh"
. "$ROOT/bin/lib/packages.sh"
. "$ROOT/bin/lib/tally.sh"

SUITES='gcc asan tsan clang cases cli interop embed vault fault examples s3 kafka schedulers'
usage() {
    echo "usage: bin/test.sh [--all] [SUITE..], of $SUITES" >&2
    exit 2
}

ALL=
NAMES=()
for word; do
    case $word in
    --all) ALL=1 RUN_LIMIT= ;;
    *)
        tr ' ' '\n' <<<"$SUITES" | grep -qxF -- "$word" || usage
        NAMES+=("$word")
        ;;
    esac
done

OUT=$ROOT/build-test
LOGS=$OUT/logs
mkdir -p "$LOGS" || die "cannot write to $ROOT"
cd "$ROOT" || exit 1

wanted() {
    [ ${#NAMES[@]} -eq 0 ] || printf '%s\n' "${NAMES[@]}" | grep -qxF -- "$1"
}

# build NAME CFLAGS OPTIONS..: compiles into build-test/NAME.
build() {
    suite "build-$1" build "$ROOT/bin/lib/compile.sh" "$OUT/$1" "${@:2}"
}

# unit NAME MAKE-ARGUMENTS..: the tests there that `make check` runs.
unit() {
    BUILD=$OUT/$1
    suite "unit-$1" make make -s -C "$BUILD" -j2 "${@:2}"
}

# python NAME PROGRAM [CASES..]: a suite that runs the command, as built in build-test/$FLAVOUR. Cases are parts of names; none: all.
python() {
    MILLRACE_BIN=$OUT/$FLAVOUR/millrace suite "$1" tap sh tests/lib/python.sh "tests/$2" "${@:3}"
}

require_packages build run test kafka
export ASAN_OPTIONS=${ASAN_OPTIONS-abort_on_error=0:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS-print_stacktrace=1}
# A second of waiting at each exit, as is the default, would be most of what the cases take.
export TSAN_OPTIONS=${TSAN_OPTIONS-halt_on_error=1:atexit_sleep_ms=50}

# The other builds. -g1: the lines of stack traces, at three quarters of the time. Clang is asked for its warnings, so its code need not be fast.
flavour() {
    case $1 in
    asan) FLAGS=('-O1 -g1' --enable-werror --enable-asan --enable-failpoints) ;;
    tsan) FLAGS=('-O1 -g1' --enable-werror --enable-tsan) ;;
    clang) FLAGS=('-O0' CC=clang --enable-werror) ;;
    esac
}

# program ASKED NAME PROGRAM [CASES..]: a suite of the command against servers, where that word was asked for.
program() {
    local FLAVOUR=gcc
    if wanted "$1"; then
        python "${@:2}"
    fi
}

# One after the other: they share the sandbox.
examples_suites() {
    program examples examples examples/run.py
    program examples examples-lake examples/lake.py
    program examples examples-daily examples/daily.py
    if [ -n "$ALL" ] && wanted examples; then
        suite nise build "$ROOT/bin/lib/nise.sh"
        NISE=$ROOT/.venv/nise/bin/nise program examples examples-daily-nise examples/daily_nise.py
    fi
    program kafka examples-topics examples/topics.py
}

airflow_suites() {
    if wanted schedulers; then
        suite airflow build "$ROOT/bin/lib/airflow.sh"
        program schedulers schedulers-airflow schedulers/test_airflow.py
    fi
}

kafka_suites() {
    if wanted kafka; then
        suite kafka-epochs build make -s -C "$OUT/gcc" tests/interop/kafka_epochs
        program kafka kafka interop/test_kafka.py
    fi
}

# Jobs that wait more than they compute.
WAITING=(
    'program cases cases cases/run.py'
    'program cli cli cli/run.py'
    'program interop interop interop/run.py'
    'program embed embed embed/run.py'
    'program vault vault vault/run.py'
    'program fault fault fault/run.py'
    'program cli cli-streams cli/streams.py'
    examples_suites
    'program schedulers schedulers schedulers/run.py'
    'program schedulers schedulers-deb schedulers/deb.py'
    kafka_suites
    'program kafka stream interop/test_stream.py'
    'program kafka fault-streams fault/streams.py'
    'program kafka kafka-group interop/test_kafka_group.py'
    "program kafka fault-lanes fault/lanes.py$([ -n "$ALL" ] || echo " delta kafka")"
    'program kafka event-time interop/test_event_time.py'
    'program kafka watch interop/test_watch.py'
    'program kafka kafka-sink interop/test_kafka_sink.py'
    'program s3 s3 interop/test_s3.py'
    'program s3 fault-s3 fault/s3.py'
)
for name in kills signals stops resume calls checkpoint state identity kept backends; do
    WAITING+=("program fault fault-$name fault/$name.py")
done
if [ -n "$ALL" ]; then
    WAITING+=(airflow_suites 'program kafka fault-kafka fault/kills_kafka.py' 'program kafka fault-ends fault/ends_kafka.py'
        'program kafka fault-leaders fault/leaders.py')
fi

# Jobs of builds and unit tests, which compute. Under the sanitizers the programs alone, but for the one that starts some
# thousands of processes, and under the first of them what reads files of others; under the second those that start
# threads, which those of unit/op do not (cases-tsan runs the operators); --all: everything.
PROGRAMS_OF_UNITS='$(filter-out tests/contract/crash_suite,$(check_PROGRAMS))'

gcc_suites() {
    if wanted gcc; then
        unit gcc check
    fi
}

asan_suites() {
    local name tests=("TESTS=$PROGRAMS_OF_UNITS")
    for name in avro delta delta_maintain delta_read files_read parquet_read text_read; do
        tests[0]+=" tests/interop/test_$name.py"
    done
    [ -z "$ALL" ] || tests=()
    if wanted asan; then
        flavour asan
        build asan "${FLAGS[@]}"
        unit asan check "${tests[@]}"
        FLAVOUR=asan
        python cases-asan cases/run.py
        python alloc-asan fault/alloc.py
    fi
}

tsan_suites() {
    local name tests='$(filter'
    for name in unit/base unit/exec unit/ext unit/net unit/plan unit/state unit/store unit/connect/test_kafka contract/sink contract/source; do
        tests+=" tests/$name%"
    done
    if wanted tsan; then
        flavour tsan
        if [ -n "$ALL" ]; then
            build tsan "${FLAGS[@]}"
            unit tsan check
        else
            PROGRAMS=later build tsan "${FLAGS[@]}"
            unit tsan check-TESTS "TESTS=$tests,$PROGRAMS_OF_UNITS)"
        fi
        # What is refused is refused on one thread.
        FLAVOUR=tsan
        python cases-tsan cases/run.py files/ postgres/ transform/ validate/
    fi
}

clang_suites() {
    if wanted clang; then
        flavour clang
        build clang "${FLAGS[@]}"
    fi
}

# What the suites need whichever of them is asked for: modules, the broker, the build. configure, pip and Maven mostly wait.
python_modules() {
    if [ -z "${MILLRACE_PYTHON-}" ]; then
        suite python build "$ROOT/bin/lib/python.sh"
    fi
}

kafka_jars() {
    suite kafka-jars build "$ROOT/bin/lib/kafka.sh"
}

gcc_build() {
    build gcc '-O2 -g1' --enable-werror --enable-failpoints
}

begin_jobs
lane gcc_build
lane python_modules kafka_jars
join_lanes python_modules kafka_jars gcc_build
export MILLRACE_PYTHON=${MILLRACE_PYTHON-$ROOT/.venv/bin/python}
# bin/run-local.sh, which the examples go through, builds into build/. Where that is not there it finds this build, up
# to date; with --all it makes its own.
if [ -z "$ALL" ] && [ ! -e build ] && [ ! -L build ]; then
    ln -s "$OUT/gcc" build
    trap 'rm -f "$ROOT/build"' EXIT
fi
# One lane computes first and the others wait first, so that the processors are busy to the end.
COMPUTING=(gcc_suites asan_suites tsan_suites clang_suites)
lane "${COMPUTING[@]}" "${WAITING[@]}"
for ((i = 0; i < $(nproc); i++)); do
    lane "${WAITING[@]}" clang_suites tsan_suites asan_suites gcc_suites
done
join_lanes "${WAITING[@]}" "${COMPUTING[@]}"
if [ -n "$ALL" ]; then
    SUITE_LIMIT=7200 suite check-long tap make -s -C "$OUT/gcc" check-long
    SUITE_LIMIT=3600 suite distcheck build make -s -C "$OUT/gcc" distcheck
fi
finish
