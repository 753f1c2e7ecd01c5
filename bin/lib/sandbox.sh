# sandbox.sh - a private PostgreSQL under .sandbox/ with the data of bin/sandbox/*.sql.
#
# The server listens on 127.0.0.1 at the port of config/credentials.json, where one role without
# superuser rights may log in; the superuser is reachable only through a socket that nobody else
# can open. When another program holds the port (a second checkout, say) the next free one is taken
# and .sandbox/credentials.json, a copy that differs in the port, is used instead.
#
# PostgreSQL refuses to run as root, so root starts it as the user that Debian's package made. Such
# a user cannot see a checkout below a closed folder such as /root; the data then lives under
# /var/tmp, in a folder named in .sandbox/place.
#
# fsync is off: the data can be made again, and a machine that loses power only costs a reload.

SANDBOX=$ROOT/.sandbox
SANDBOX_DB=sandbox
SANDBOX_ROLE=millrace

as_server() {
    if [ -n "$SANDBOX_USER" ]; then
        runuser -u "$SANDBOX_USER" -- "$@"
    else
        "$@"
    fi
}

# The value of a plain key in the credentials file; it is ours, so one key stands on one line.
credential() {
    sed -nE "s/^ *\"$2\": *\"?([^\",]*)\"?,? *\$/\\1/p" "$1" | head -n 1
}

sandbox_running() {
    local pid
    [ -r "$SANDBOX/pid" ] && read -r pid <"$SANDBOX/pid" &&
        grep -qaF "$(<"$SANDBOX/place")/data" "/proc/$pid/cmdline" 2>/dev/null
}

data_key() {
    cat "$ROOT"/bin/sandbox/*.sql | cksum
}

sandbox_ready() {
    sandbox_running && [ -e "$SANDBOX/loaded" ] && [ "$(data_key)" = "$(<"$SANDBOX/loaded")" ]
}

server_binaries() {
    local dir
    for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
        if [ -x "$dir/initdb" ]; then
            printf '%s\n' "$dir"
            return 0
        fi
    done
    dir=$(pg_config --bindir 2>/dev/null) && [ -x "$dir/initdb" ] && printf '%s\n' "$dir"
}

# Sets PLACE, the folder that holds the cluster and its socket.
sandbox_place() {
    SANDBOX_USER=
    mkdir -p "$SANDBOX"
    if [ "$(id -u)" -eq 0 ]; then
        SANDBOX_USER=postgres
        getent passwd postgres >/dev/null || SANDBOX_USER=nobody
    fi
    PLACE=$SANDBOX/postgres
    if [ -s "$SANDBOX/place" ]; then
        PLACE=$(<"$SANDBOX/place")
    elif ! as_server test -x "$SANDBOX" || [ ${#PLACE} -gt 80 ]; then
        PLACE=$(mktemp -d /var/tmp/millrace-sandbox.XXXXXX)
        say "the server cannot use $SANDBOX; its data is in $PLACE"
    fi
    mkdir -p "$PLACE"
    printf '%s\n' "$PLACE" >"$SANDBOX/place"
    [ -z "$SANDBOX_USER" ] || chown "$SANDBOX_USER" "$PLACE"
    chmod 700 "$PLACE"
}

port_is_taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Sets PORT and writes .sandbox/credentials.json when it is not the one of the tree's file.
sandbox_port() {
    local file=$ROOT/config/credentials.json first
    first=$(credential "$file" port)
    PORT=$first
    while port_is_taken "$PORT"; do
        PORT=$((PORT + 1))
    done
    rm -f "$SANDBOX/credentials.json"
    if [ "$PORT" != "$first" ]; then
        say "port $first is in use; the sandbox takes $PORT (.sandbox/credentials.json)"
        sed -E "s/(\"port\": *)$first/\\1$PORT/" "$file" >"$SANDBOX/credentials.json"
    fi
}

sandbox_init() {
    local cluster=$PLACE/data
    say "creating the sandbox PostgreSQL in ${PLACE#"$ROOT"/}"
    as_server "$PGBIN/initdb" -D "$cluster" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
        --no-sync >"$SANDBOX/initdb.log" 2>&1 || { cat "$SANDBOX/initdb.log" >&2; die "initdb failed"; }
    as_server tee "$cluster/pg_hba.conf" >/dev/null <<HBA
local all all trust
host $SANDBOX_DB $SANDBOX_ROLE 127.0.0.1/32 scram-sha-256
HBA
    as_server tee -a "$cluster/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$PLACE'
unix_socket_permissions = 0700
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
shared_buffers = 256MB
maintenance_work_mem = 128MB
max_connections = 100
log_min_messages = warning
timezone = 'UTC'
CONF
}

sandbox_start() {
    local log=$PLACE/server.log
    sandbox_port
    as_server env -C "$PLACE" "$PGBIN/pg_ctl" -D "$PLACE/data" -l "$log" -o "-p $PORT" -w -s start ||
        { as_server tail -n 20 "$log" >&2; die "the sandbox PostgreSQL did not start"; }
    as_server head -n 1 "$PLACE/data/postmaster.pid" >"$SANDBOX/pid"
    printf '%s\n' "$PORT" >"$SANDBOX/port"
}

sandbox_sql() {
    "$PGBIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$PLACE" -p "$(<"$SANDBOX/port")" -U postgres "$@"
}

sandbox_load() {
    local file began=$SECONDS password
    password=$(credential "$ROOT/config/credentials.json" password)
    say "loading the sandbox data (once)"
    rm -f "$SANDBOX/loaded"
    sandbox_sql -d postgres -c "DROP DATABASE IF EXISTS $SANDBOX_DB WITH (FORCE)" \
        -c "DROP ROLE IF EXISTS $SANDBOX_ROLE" \
        -c "CREATE ROLE $SANDBOX_ROLE LOGIN PASSWORD '$password'" \
        -c "CREATE DATABASE $SANDBOX_DB OWNER $SANDBOX_ROLE" >/dev/null 2>"$SANDBOX/load.log" ||
        { cat "$SANDBOX/load.log" >&2; die "the sandbox database could not be made"; }
    for file in "$ROOT"/bin/sandbox/*.sql; do
        sandbox_sql -d "$SANDBOX_DB" -c "SET ROLE $SANDBOX_ROLE" -f "$file" >/dev/null ||
            die "loading ${file#"$ROOT"/} failed"
    done
    data_key >"$SANDBOX/loaded"
    say "sandbox loaded in $((SECONDS - began)) s"
}

sandbox_make_ready() {
    sandbox_ready && return 0
    PGBIN=$(server_binaries) || die "no PostgreSQL server binaries found (package postgresql)"
    sandbox_place
    as_server test -s "$PLACE/data/PG_VERSION" || sandbox_init
    sandbox_running || sandbox_start
    [ -e "$SANDBOX/loaded" ] && [ "$(data_key)" = "$(<"$SANDBOX/loaded")" ] || sandbox_load
}

sandbox_up() {
    if ! sandbox_ready; then
        mkdir -p "$SANDBOX" || die "cannot write to $ROOT"
        with_lock "$SANDBOX/lock" sandbox_make_ready || exit 1
    fi
}

sandbox_stop() {
    if sandbox_running; then
        PGBIN=$(server_binaries)
        sandbox_place
        as_server env -C "$PLACE" "$PGBIN/pg_ctl" -D "$PLACE/data" -m fast -s stop
        rm -f "$SANDBOX/pid"
    fi
}

# What the servers beside it (S3, Kafka) share. PLACE is a folder with the files pid and port.

# server_running PLACE WORD - is the process the one whose command line has this word?
server_running() {
    local pid
    [ -r "$1/pid" ] && read -r pid <"$1/pid" && grep -qaF "$2" "/proc/$pid/cmdline" 2>/dev/null
}

# server_stop PLACE WORD TENTHS - by force if it still runs after so many tenths of a second.
server_stop() {
    local pid i
    server_running "$1" "$2" || return 0
    read -r pid <"$1/pid"
    kill "$pid"
    for ((i = 0; i < $3; i++)); do
        server_running "$1" "$2" || break
        sleep 0.1
    done
    server_running "$1" "$2" && kill -KILL "$pid"
    rm -f "$1/pid"
}

# server_credentials FILE KEY PLACE - prints the file to use: FILE, or a copy below .sandbox/ with the ports that the servers
# have. The value of KEY ends with the port of this one.
server_credentials() {
    local address postgres copy=$SANDBOX/${1##*/}
    address=$(credential "$1" "$2")
    postgres=$(credential "$1" port)
    sed -E -e "s#^( *\"$2\": *\").*(\",?)#\\1${address%:*}:$(<"$3/port")\\2#" \
        -e "s/^( *\"port\": *)$postgres/\\1$(cat "$SANDBOX/port" 2>/dev/null || echo "$postgres")/" "$1" >"$copy.$$"
    if cmp -s "$copy.$$" "$1"; then
        rm -f "$copy.$$" "$copy"
        printf '%s\n' "$1"
    else
        mv "$copy.$$" "$copy"
        printf '%s\n' "$copy"
    fi
}
