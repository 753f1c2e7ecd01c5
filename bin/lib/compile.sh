#!/usr/bin/env bash
# compile.sh DIRECTORY CFLAGS [configure options] - builds the checkout with its test programs into a directory.
set -eu
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
dir=$1
flags=$2
shift 2

cd "$ROOT"
if [ ! -x configure ] || [ configure.ac -nt configure ]; then
    autoreconf -i
fi
mkdir -p "$dir"
cd "$dir"
if [ ! -e Makefile ]; then
    "$ROOT/configure" -q CFLAGS="$flags" "$@"
fi
make -s -j"$(nproc)" all
make -s -j"$(nproc)" check TESTS=
