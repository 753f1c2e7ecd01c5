#!/usr/bin/env bash
# kafka.sh - puts Apache Kafka's broker into .venv/kafka/ (39 MB; Java is needed to run it).
#
# Maven resolves bin/kafka/pom.xml from Maven Central; nothing is used but the very files of
# bin/kafka/jars.sha256. After a change of the version: `bin/lib/kafka.sh --lock` writes that list.
set -eu
export LC_ALL=C
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
. "$ROOT/bin/lib/common.sh"
from=$ROOT/bin/kafka
place=$ROOT/.venv/kafka
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies

fetch() {
    cmp -s "$from/jars.sha256" "$place/jars.sha256" && return 0
    command -v mvn >/dev/null || die "Maven is missing (Debian: maven)"
    say "fetching Apache Kafka (once)"
    rm -rf "$place/new"
    mkdir -p "$place/new"
    mvn -B -q -f "$from/pom.xml" "$plugin" -DincludeScope=runtime -DoutputDirectory="$place/new" >"$place/log" 2>&1 || {
        tail -n 20 "$place/log" >&2
        die "Apache Kafka could not be fetched"
    }
    cd "$place/new"
    [ "${1-}" != --lock ] || sha256sum -- *.jar >"$from/jars.sha256"
    sha256sum -- *.jar | cmp -s - "$from/jars.sha256" || {
        sha256sum -- *.jar | diff - "$from/jars.sha256" >&2 || true
        die "what Maven gave is not what bin/kafka/jars.sha256 says"
    }
    rm -rf "$place/jars"
    mv "$place/new" "$place/jars"
    cp "$from/jars.sha256" "$place/jars.sha256"
}

mkdir -p "$place"
[ "${1-}" != --lock ] || rm -f "$place/jars.sha256"
with_lock "$place/.lock" fetch "$@"
