#!/bin/sh
# HyperQueue in a virtual environment of its own, for the benchmark that is held against it. Prints `QCBATCH_BENCH_PYTHON=<interpreter>`.
set -eu
. "$(dirname "$0")/packages.sh"
environment=$(pwd)/.venv-bench

if ! "$environment/bin/python" -c 'import hyperqueue' 2>/dev/null; then
    say "creating .venv-bench with hyperqueue"
    rm -rf "$environment"
    python3 -m venv "$environment" && "$environment/bin/pip" install -q --disable-pip-version-check hyperqueue==0.27.0 >&2 ||
        die "pip could not install hyperqueue; is the package index reachable?"
fi
echo "QCBATCH_BENCH_PYTHON=\"$environment/bin/python\""
