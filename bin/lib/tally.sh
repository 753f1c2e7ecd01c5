# tally.sh - runs suites one after the other, or in two lanes, and adds up what they report.
#
# suite NAME KIND COMMAND... runs one with its output in $LOGS/NAME.log. A failure never stops the next suite.
#   build  the command itself is the test
#   make   automake's `make check`: cmocka's counts in the .log files, one per script
#   tap    lines `ok` and `not ok`
# A suite that ends with an error that it did not report itself counts as one failure; 77 is a skip.

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
    local name=$1 kind=$2 log status cpu began=$SECONDS
    local TIMEFORMAT=$'%U\n%S'
    shift 2
    log=$LOGS/${name//[^A-Za-z0-9_-]/-}.log
    printf '== %s\n' "$name"
    touch "$log.began"
    { time timeout --kill-after=20 "${SUITE_LIMIT:-900}" "$@" >"$log" 2>&1 </dev/null; } 2>"$log.cpu"
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

# lane FUNCTION: runs its suites beside what follows. join_lane waits for them, shows what they said, and adds them up.
lane() {
    rm -f "$LOGS/lane.sum"
    (
        PASSED=0 FAILED=0 SKIPPED=0 FAILED_SUITES=()
        "$1"
        printf '%d %d %d %s\n' "$PASSED" "$FAILED" "$SKIPPED" "${FAILED_SUITES[*]}" >"$LOGS/lane.sum"
    ) >"$LOGS/lane.log" 2>&1 &
    LANE=$!
}

join_lane() {
    local passed=0 failed=1 skipped=0 suites=lane
    wait "$LANE"
    cat "$LOGS/lane.log"
    [ ! -e "$LOGS/lane.sum" ] || read -r passed failed skipped suites <"$LOGS/lane.sum"
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
    [ "$failed" -eq 0 ] || FAILED_SUITES+=("$suites")
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
