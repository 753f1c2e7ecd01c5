# sandbox_kafka.sh - a private Apache Kafka broker under .sandbox/kafka/, for config/credentials-kafka.json.
#
# One node in KRaft mode with 256 MB of heap; bin/lib/kafka.sh fetches it (39 MB, once). The topic `events` has
# four partitions and 100,000 records of JSON, which are made when the broker is started for the first time, as is the empty topic `orders`. When another
# program holds the port, the next free one is taken and .sandbox/credentials-kafka.json is used instead.

KAFKA_FILE=$ROOT/config/credentials-kafka.json
KAFKA_PLACE=$SANDBOX/kafka

kafka_running() {
    server_running "$KAFKA_PLACE" "$KAFKA_PLACE/server.properties"
}

# In a subshell, which it replaces: what is started in the background has the number of the broker.
kafka_java() {
    exec java "-Xmx$1" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData \
        "-Dlog4j2.configurationFile=$ROOT/bin/kafka/log4j2.properties" -cp "$ROOT/.venv/kafka/jars/*" "${@:2}"
}

kafka_port() {
    local port=$1
    while port_is_taken "$port"; do
        port=$((port + 1))
    done
    printf '%s\n' "$port"
}

# The ports may change from one start to the next; the data may not.
kafka_configure() {
    local port=$1 controller
    controller=$(kafka_port $((port + 1)))
    cat >"$KAFKA_PLACE/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$KAFKA_PLACE/data
log.retention.ms=-1
num.partitions=4
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
CONF
}

# Orders of a shop: key and value, always the same.
kafka_events() {
    awk 'BEGIN {
        split("view view view cart cart order", kind, " ")
        split("DE FR PL IT ES NL", country, " ")
        for (i = 0; i < 100000; i++) {
            user = (i * 7919) % 5003
            printf "%d\t{\"id\": %d, \"user\": \"user-%04d\", \"event\": \"%s\", \"country\": \"%s\", \"amount\": %d.%02d, ", \
                user, i, user, kind[i % 6 + 1], country[user % 6 + 1], (i * 31) % 400, (i * 17) % 100
            printf "\"at\": \"2024-05-%02dT%02d:%02d:%02dZ\"}\n", i / 5000 % 28 + 1, i / 3600 % 24, i / 60 % 60, i % 60
        }
    }'
}

# Clicks of a shop, with the time of now: $1 of them, from the number $2 on.
kafka_clicks() {
    awk -v n="$1" -v from="$2" -v at="$(date -u +%Y-%m-%dT%H:%M:%SZ)" 'BEGIN {
        split("view view view cart cart order", kind, " ")
        split("DE FR PL IT ES NL", country, " ")
        for (i = from; i < from + n; i++) {
            user = (i * 7919) % 5003
            printf "%d\t{\"id\": %d, \"user\": \"user-%04d\", \"event\": \"%s\", \"country\": \"%s\", \"amount\": %d.%02d, \"at\": \"%s\"}\n", \
                user, i, user, kind[i % 6 + 1], country[user % 6 + 1], (i * 31) % 400, (i * 17) % 100, at
        }
    }'
}

kafka_send_clicks() {
    local from=0
    [ -r "$KAFKA_PLACE/clicks" ] && from=$(<"$KAFKA_PLACE/clicks")
    kafka_clicks "$1" "$from" | kcat -q -P -b "127.0.0.1:$(<"$KAFKA_PLACE/port")" -t clicks -K "$(printf '\t')" || return 1
    printf '%s\n' $((from + $1)) >"$KAFKA_PLACE/clicks"
}

# What a stream of the topic clicks finds: 2,000 of them, and then 50 every quarter of a second as long as the process $1 lives.
kafka_feed() {
    while kill -0 "$1" 2>/dev/null && kafka_send_clicks 50; do
        sleep 0.25
    done
}

kafka_load() {
    say "loading the sandbox topic events (once)"
    kafka_events | kcat -q -P -b "127.0.0.1:$(<"$KAFKA_PLACE/port")" -t events -K "$(printf '\t')" ||
        die "the sandbox topic could not be loaded"
    kcat -q -L -b "127.0.0.1:$(<"$KAFKA_PLACE/port")" -t orders >/dev/null # asking for it makes it
    touch "$KAFKA_PLACE/loaded"
}

kafka_start() {
    local port pid
    kafka_running && return 0
    require_packages kafka
    "$ROOT/bin/lib/kafka.sh" || exit 1
    mkdir -p "$KAFKA_PLACE"
    port=$(credential "$KAFKA_FILE" bootstrap.servers)
    port=$(kafka_port "${port##*:}")
    kafka_configure "$port"
    if [ ! -e "$KAFKA_PLACE/data/meta.properties" ]; then
        (kafka_java 128m kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c "$KAFKA_PLACE/server.properties" \
            >"$KAFKA_PLACE/log" 2>&1) || { cat "$KAFKA_PLACE/log" >&2; die "the sandbox broker could not be made"; }
    fi
    say "starting the sandbox Kafka broker"
    (
        cd / || exit 1
        kafka_java 256m kafka.Kafka "$KAFKA_PLACE/server.properties" </dev/null >>"$KAFKA_PLACE/log" 2>&1 &
        printf '%s\n' $! >"$KAFKA_PLACE/pid"
    )
    read -r pid <"$KAFKA_PLACE/pid"
    for _ in {1..600}; do
        port_is_taken "$port" && break
        kill -0 "$pid" 2>/dev/null || { tail -n 20 "$KAFKA_PLACE/log" >&2; die "the sandbox broker did not start"; }
        sleep 0.1
    done
    printf '%s\n' "$port" >"$KAFKA_PLACE/port"
    [ -e "$KAFKA_PLACE/loaded" ] || kafka_load
}

kafka_up() {
    if ! kafka_running || [ ! -e "$KAFKA_PLACE/loaded" ]; then
        mkdir -p "$SANDBOX" || die "cannot write to $ROOT"
        with_lock "$SANDBOX/kafka.lock" kafka_start || exit 1
    fi
}

kafka_stop() {
    server_stop "$KAFKA_PLACE" "$KAFKA_PLACE/server.properties" 150
}

# Prints the file to use.
kafka_credentials() {
    server_credentials "$KAFKA_FILE" bootstrap.servers "$KAFKA_PLACE"
}
