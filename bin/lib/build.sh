# build.sh - builds the checkout out of tree into build/, only when a source changed.
#
# A make that finds nothing to do still reads every dependency file; a stamp compared with the
# sources by one find costs a few milliseconds instead. The stamp carries the time at which the
# build began, so that a file saved while it ran is noticed by the next call.

build_is_fresh() {
    [ -x "$BUILD/millrace" ] && [ -e "$BUILD/.built" ] &&
        [ -z "$(find "$ROOT/src" "$ROOT/include" "$ROOT/configure.ac" "$ROOT/Makefile.am" \
            "$ROOT/tests/Makefile.inc" -newer "$BUILD/.built" -print -quit)" ]
}

build_now() {
    local log=$BUILD/build.log
    if build_is_fresh; then
        return 0
    fi
    say "building into ${BUILD#"$ROOT"/}/ (log: ${log#"$ROOT"/})"
    touch "$BUILD/.begin"
    if ! {
        { [ -x "$ROOT/configure" ] && [ ! "$ROOT/configure.ac" -nt "$ROOT/configure" ] ||
            (cd "$ROOT" && autoreconf -i); } &&
            { [ -e "$BUILD/Makefile" ] || (cd "$BUILD" && "$ROOT/configure" -q); } &&
            make -C "$BUILD" -s -j"$(nproc)" all
    } >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        die "the build failed"
    fi
    mv "$BUILD/.begin" "$BUILD/.built"
}

build_if_needed() {
    BUILD=$ROOT/build
    if build_is_fresh; then
        return 0
    fi
    mkdir -p "$BUILD" || die "cannot write to $ROOT"
    with_lock "$BUILD/.lock" build_now || exit 1
}
