#!/bin/sh
# Finds or installs the quantum-chemistry programs of the demo and the tests: MOPAC and xtb (semi-empirical), Psi4 (ab initio).
# Prints `QCBATCH_PROGRAMS=<those found>`. With `all` as argument every one is needed, and NWChem too (ab initio, by MPI over
# several nodes); else one is enough.
set -eu
. "$(dirname "$0")/packages.sh"
needed=${1:-any}

wanted="mopac psi4 xtb"
[ "$needed" != all ] || wanted="$wanted nwchem"
found=
missing=no
for program in $wanted; do
    have "$program" || apt_install "$program" || lack "$program" "$program"
    if have "$program"; then found="$found $program"; else missing=yes; fi
done
[ -n "$found" ] || exit 1
[ "$needed" != all ] || [ "$missing" = no ] || exit 1
echo "QCBATCH_PROGRAMS=${found# }"
