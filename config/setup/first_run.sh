#!/bin/sh
# `make bench-first-run`: how long a newcomer waits from the clone to the table of energies, with the package caches of this
# machine as they are. Clones what is committed, runs `make demo` there, and removes everything again.
set -eu
project=$(cd "$(dirname "$0")/../.." && pwd)
place=$(mktemp -d /var/tmp/qcbatch-first-run-XXXXXX)
# PostgreSQL's unprivileged user must get through when root measures.
chmod 755 "$place"
trap 'rm -rf "$place"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
unset CARGO_TARGET_DIR QCBATCH_DEMO_STATE || :

now() { date +%s; }
begun=$(now)
git clone -q "$project" "$place/qcbatch"
cd "$place/qcbatch"
make demo
printf 'first run: %s s from the clone to the table (%s cores)\n' "$(($(now) - begun))" "$(nproc)"
