# common.sh - what the scripts of bin/ share. ROOT is the checkout.

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# with_lock FILE COMMAND...: one at a time, however many shells start at once. The command does not
# inherit the lock: a server that it leaves behind would hold it for ever.
with_lock() {
    local lock=$1
    shift
    (
        flock 9
        "$@" 9>&-
    ) 9>"$lock"
}
