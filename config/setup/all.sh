#!/bin/sh
# `all.sh run|test`: sees to everything a run or the tests need and prints what was found as shell assignments.
set -eu
here=$(dirname "$0")
. "$here/packages.sh"

"$here/compiler.sh"
postgres=$("$here/postgres.sh")
printf '%s\n' "$postgres"
case "${1:?say run or test}" in
run)
    # Where Python is too new for the older QCEngine, the newer one serves (all programs but the Psi4 1.3 of Debian).
    environment=$("$here/python.sh" v1) || environment=$("$here/python.sh" v2)
    programs=$("$here/programs.sh" any)
    printf 'QCBATCH_PYTHON="%s/bin/python"\n' "${environment#*=}"
    ;;
test)
    older=$("$here/python.sh" v1)
    newer=$("$here/python.sh" v2)
    programs=$("$here/programs.sh" all)
    "$here/slurm.sh"
    printf 'QCBATCH_TEST_PYTHON_V1="%s/bin/python"\nQCBATCH_TEST_PYTHON_V2="%s/bin/python"\n' "${older#*=}" "${newer#*=}"
    ;;
*) die "all.sh knows run and test, not $1" ;;
esac
printf 'QCBATCH_PROGRAMS="%s"\n' "${programs#*=}"
