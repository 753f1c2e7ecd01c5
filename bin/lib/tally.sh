# tally.sh - runs suites one after the other, or in lanes, and adds up what they report.
#
# suite NAME KIND COMMAND... runs one with its output in $LOGS/NAME.log. A failure never stops the next suite.
#   build  the command itself is the test
#   make   automake's `make check`: cmocka's counts in the .log files, one per script
#   tap    lines `ok` and `not ok`
# A suite that ends with an error that it did not report itself, or without a test, counts as one failure; 77 is a skip. It is stopped after
# SUITE_LIMIT seconds, and when all has taken RUN_LIMIT (unset: it may take any time); behind that none begins.

PASSED=0
FAILED=0
SKIPPED=0
FAILED_SUITES=()

# Sets OKS, BADS, SKIPS from the results of `make check` below a build directory.
count_make() {
    local trs log result ok bad
    OKS=0 BADS=0 SKIPS=0
    while IFS= read -r trs; do
        log=${trs%.trs}.log
        result=$(sed -n 's/^:test-result: *//p' "$trs" | head -n 1)
        ok=$(awk '/^\[  PASSED  \] [0-9]+ test/ { n += $4 } END { print n + 0 }' "$log")
        bad=$(awk '/^\[  FAILED  \] [0-9]+ test/ { n += $4 } END { print n + 0 }' "$log")
        case $result in
        PASS | XFAIL) OKS=$((OKS + (ok > 0 ? ok : 1))) ;;
        SKIP) SKIPS=$((SKIPS + 1)) ;;
        *)
            OKS=$((OKS + ok)) BADS=$((BADS + (bad > 0 ? bad : 1)))
            printf -- '--- %s: %s\n' "${log#"$1"/}" "$result"
            tail -n 80 "$log"
            ;;
        esac
    done < <(find "$1/tests" -name '*.trs' -newer "$2")
}

count_tap() {
    OKS=$(grep -E '^ok ' "$1" | grep -cv '# SKIP')
    SKIPS=$(grep -cE '^ok .*# SKIP' "$1")
    BADS=$(grep -c '^not ok ' "$1")
}

# suite NAME KIND COMMAND...; for make, BUILD is the build directory.
suite() {
    local name=$1 kind=$2 log status cpu began=$SECONDS limit=${SUITE_LIMIT:-900}
    local TIMEFORMAT=$'%U\n%S'
    shift 2
    log=$LOGS/${name//[^A-Za-z0-9_-]/-}.log
    printf '== %s\n' "$name"
    touch "$log.began"
    if [ -n "${RUN_LIMIT-}" ] && [ $((RUN_LIMIT - began)) -lt "$limit" ]; then
        limit=$((RUN_LIMIT - began))
    fi
    if [ "$limit" -le 0 ]; then
        printf -- '--- %s: no time is left of the %d s that all may take\n' "$name" "$RUN_LIMIT"
        FAILED=$((FAILED + 1)) FAILED_SUITES+=("$name")
        return
    fi
    { time timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null; } 2>"$log.cpu"
    status=$?
    OKS=0 BADS=0 SKIPS=0
    case $kind in
    make) count_make "$BUILD" "$log.began" ;;
    tap) count_tap "$log" ;;
    build) [ "$status" -ne 0 ] || OKS=1 ;;
    esac
    if [ "$status" -eq 77 ] && [ $((OKS + BADS)) -eq 0 ]; then
        SKIPS=$((SKIPS + 1))
    elif [ "$status" -ne 0 ] && [ "$BADS" -eq 0 ]; then
        BADS=1
        printf -- '--- %s ended with status %d\n' "$name" "$status"
    elif [ $((OKS + BADS + SKIPS)) -eq 0 ]; then
        BADS=1
        printf -- '--- %s has run no test\n' "$name"
    fi
    # timeout's own, and that of who had to be killed.
    if [ "$status" -eq 124 ] || [ $((SECONDS - began)) -ge "$limit" ]; then
        printf -- '--- %s was stopped: it may take %d s\n' "$name" "$limit"
    fi
    if [ "$BADS" -gt 0 ]; then
        FAILED_SUITES+=("$name")
        case $kind in
        tap) grep -vE '^ok ' "$log" | tail -n 300 ;;
        *) tail -n 80 "$log" ;;
        esac
    fi
    PASSED=$((PASSED + OKS)) FAILED=$((FAILED + BADS)) SKIPPED=$((SKIPPED + SKIPS))
    cpu=$(awk '{ n += $1 } END { printf "%d", n }' "$log.cpu")
    printf '   %s: %d passed, %d failed, %d skipped (%d s, %d s of CPU)\n' "$name" "$OKS" "$BADS" "$SKIPS" \
        $((SECONDS - began)) "$cpu"
}

# lane JOB..: a lane beside the others. It runs those jobs in turn that no lane has yet; a job is a command of this shell that
# calls suite. begin_jobs before the first.
begin_jobs() {
    rm -rf "$LOGS/jobs"
    mkdir "$LOGS/jobs"
}

place_of() {
    printf '%s/jobs/%s' "$LOGS" "${1//[^A-Za-z0-9_-]/-}"
}

# run_job PLACE JOB: the job is split into words.
run_job() {
    PASSED=0 FAILED=0 SKIPPED=0 FAILED_SUITES=()
    $2
    printf '%d %d %d %s\n' "$PASSED" "$FAILED" "$SKIPPED" "${FAILED_SUITES[*]}" >"$1/sum.new"
    mv "$1/sum.new" "$1/sum"
}

lane() {
    local job place
    for job; do
        place=$(place_of "$job")
        # Only one lane makes the folder.
        ! mkdir "$place" 2>/dev/null || (run_job "$place" "$job") >"$place/said" 2>&1
    done &
}

# join_lanes JOB..: shows what the jobs said, in this order, each as soon as it is over, and adds them up.
join_lanes() {
    local job place passed failed skipped suites
    for job; do
        place=$(place_of "$job")
        while [ ! -e "$place/sum" ] && [ -n "$(jobs -rp)" ]; do
            sleep 0.2
        done
        passed=0 failed=1 skipped=0 suites=$job
        [ ! -e "$place/said" ] || cat "$place/said"
        [ ! -e "$place/sum" ] || read -r passed failed skipped suites <"$place/sum"
        PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
        [ "$failed" -eq 0 ] || FAILED_SUITES+=("$suites")
    done
    wait
}

# The sum, whose last line is what continuous integration reads.
finish() {
    if [ ${#FAILED_SUITES[@]} -gt 0 ]; then
        printf 'failing: %s\n' "${FAILED_SUITES[*]}"
    fi
    printf '%d skipped; %d s; logs in %s\n' "$SKIPPED" "$SECONDS" "${LOGS#"$ROOT"/}"
    printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
    [ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
    exit
}
