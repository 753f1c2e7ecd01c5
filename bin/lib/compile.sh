#!/usr/bin/env bash
# compile.sh DIRECTORY CFLAGS [configure options] - builds the checkout with its test programs into a directory;
# PROGRAMS=later: without them, `make check-TESTS` builds those that it runs. libtool runs once an object: in half the
# time under a small sh.
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
    CONFIG_SHELL=/bin/sh "$ROOT/configure" -q CFLAGS="$flags" CXXFLAGS="$flags" "$@"
fi
make -s -j"$(nproc)" all
[ "${PROGRAMS-}" = later ] || make -s -j"$(nproc)" check TESTS=
