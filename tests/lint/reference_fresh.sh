#!/bin/sh
# The committed reference pages and the JSON Schema are what the option tables of this build give.
set -eu
top=${srcdir:-$(dirname "$0")/../..}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/docs/reference" "$tmp/config"
tests/tools/gen_reference "$tmp"
if diff -ru "$top/docs/reference" "$tmp/docs/reference" &&
    diff -u "$top/config/pipeline.schema.json" "$tmp/config/pipeline.schema.json"; then
    echo "reference pages and schema are fresh"
else
    echo "stale: run \`make reference\` and commit docs/reference and config/pipeline.schema.json"
    exit 1
fi
