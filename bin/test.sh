#!/usr/bin/env bash
# test.sh [--all] [SUITE..] - everything that continuous integration runs; the last line is "N passed, N failed".
#
# Installs what the tests need; builds with gcc (warnings are errors), with the address and undefined
# sanitizers, with the thread sanitizer and with clang, each in its own folder under build-test/, and
# runs the unit tests in the first three. The suites in Python run against private PostgreSQL
# and S3 servers and read the results with pyarrow and DuckDB. --all adds what takes long: make check-long
# and make distcheck. Names choose suites: gcc asan tsan clang cases cli interop embed vault fault examples s3 kafka schedulers.
set -u
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
. "$ROOT/bin/lib/common.sh"
. "$ROOT/bin/lib/packages.sh"
. "$ROOT/bin/lib/tally.sh"

ALL=
NAMES=()
for word; do
    case $word in
    --all) ALL=1 ;;
    -*)
        echo "usage: bin/test.sh [--all] [SUITE..]" >&2
        exit 2
        ;;
    *) NAMES+=("$word") ;;
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
if [ -z "${MILLRACE_PYTHON-}" ]; then
    suite python build "$ROOT/bin/lib/python.sh"
    export MILLRACE_PYTHON=$ROOT/.venv/bin/python
fi
suite kafka-jars build "$ROOT/bin/lib/kafka.sh"
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

# Suites that run the program against servers: they wait more than they compute.
program_suites() {
    local name
    FLAVOUR=gcc
    for name in cases cli interop embed vault fault examples; do
        if wanted $name && [ -e "tests/$name/run.py" ]; then
            python $name $name/run.py
        fi
    done
    if wanted cli; then
        python cli-streams cli/streams.py
    fi
    if wanted examples; then
        python examples-lake examples/lake.py
        python examples-daily examples/daily.py
        if [ -n "$ALL" ]; then
            suite nise build "$ROOT/bin/lib/nise.sh"
            NISE=$ROOT/.venv/nise/bin/nise python examples-daily-nise examples/daily_nise.py
        fi
    fi
    if wanted schedulers; then
        python schedulers schedulers/run.py
        python schedulers-deb schedulers/deb.py
        if [ -n "$ALL" ]; then
            suite airflow build "$ROOT/bin/lib/airflow.sh"
            python schedulers-airflow schedulers/test_airflow.py
        fi
    fi
    if wanted kafka; then
        suite kafka-epochs build make -s -C "$OUT/$FLAVOUR" tests/interop/kafka_epochs
        python kafka interop/test_kafka.py
        python stream interop/test_stream.py
        python fault-streams fault/streams.py
        python kafka-group interop/test_kafka_group.py
        if [ -n "$ALL" ]; then
            python fault-lanes fault/lanes.py
            python fault-kafka fault/kills_kafka.py
            python fault-ends fault/ends_kafka.py
            python fault-leaders fault/leaders.py
        else
            python fault-lanes fault/lanes.py delta kafka
        fi
        python event-time interop/test_event_time.py
        python watch interop/test_watch.py
        python kafka-sink interop/test_kafka_sink.py
        python examples-topics examples/topics.py
    fi
    if wanted s3; then
        python s3 interop/test_s3.py
        python fault-s3 fault/s3.py
    fi
    if wanted fault; then
        python fault-kills fault/kills.py
        python fault-signals fault/signals.py
        python fault-stops fault/stops.py
        python fault-resume fault/resume.py
        python fault-calls fault/calls.py
        python fault-checkpoint fault/checkpoint.py
        python fault-state fault/state.py
        python fault-identity fault/identity.py
        python fault-kept fault/kept.py
        python fault-backends fault/backends.py
    fi
}

# Builds and unit tests. Under the sanitizers the programs alone, but for the one that starts some thousands of processes, and
# under the first of them what reads files of others; under the second those with threads; --all: everything.
unit_suites() {
    local name folder
    local programs='$(filter-out tests/contract/crash_suite,$(check_PROGRAMS))'
    local asan_tests=("TESTS=$programs") tsan_tests=('TESTS=$(filter')
    for name in avro delta delta_maintain delta_read files_read parquet_read text_read; do
        asan_tests[0]+=" tests/interop/test_$name.py"
    done
    for folder in contract unit/base unit/exec unit/ext unit/net unit/op unit/plan unit/state unit/store unit/connect; do
        tsan_tests[0]+=" tests/$folder/%"
    done
    tsan_tests[0]+=",$programs)"
    [ -z "$ALL" ] || asan_tests=()
    if wanted gcc; then
        unit gcc check
    fi
    if wanted asan; then
        flavour asan
        build asan "${FLAGS[@]}"
        unit asan check "${asan_tests[@]}"
        FLAVOUR=asan python cases-asan cases/run.py
        FLAVOUR=asan python alloc-asan fault/alloc.py
    fi
    if wanted tsan; then
        flavour tsan
        if [ -n "$ALL" ]; then
            build tsan "${FLAGS[@]}"
            unit tsan check
        else
            PROGRAMS=later build tsan "${FLAGS[@]}"
            unit tsan check-TESTS "${tsan_tests[@]}"
        fi
        # What is refused is refused on one thread.
        FLAVOUR=tsan python cases-tsan cases/run.py files/ postgres/ transform/ validate/
    fi
    if wanted clang; then
        flavour clang
        build clang "${FLAGS[@]}"
    fi
}

# The program suites need this build whichever of them is asked for; then both kinds run side by side.
build gcc '-O2 -g1' --enable-werror --enable-failpoints
# bin/run-local.sh, which the examples go through, builds into build/. Where that is not there it finds this build, up
# to date; with --all it makes its own.
if [ -z "$ALL" ] && [ ! -e build ] && [ ! -L build ]; then
    ln -s "$OUT/gcc" build
    trap 'rm -f "$ROOT/build"' EXIT
fi
lane unit_suites
program_suites
join_lane
if [ -n "$ALL" ]; then
    SUITE_LIMIT=7200 suite check-long tap make -s -C "$OUT/gcc" check-long
    SUITE_LIMIT=3600 suite distcheck build make -s -C "$OUT/gcc" distcheck
fi
finish
