#!/bin/sh
# Finds or installs the quantum-chemistry programs of the demo and the tests: MOPAC (semi-empirical) and Psi4 (ab initio).
# Prints `QCBATCH_PROGRAMS=<those found>`. With `all` as argument every one is needed; else one is enough.
set -eu
. "$(dirname "$0")/packages.sh"
needed=${1:-any}

found=
for program in mopac psi4; do
    have "$program" || apt_install "$program" || say "no $program; an administrator can: $(install_hint "$program")"
    if have "$program"; then found="$found $program"; elif [ "$needed" = all ]; then exit 1; fi
done
[ -n "$found" ] || die "neither mopac nor psi4 is here, so there is nothing to calculate with"
echo "QCBATCH_PROGRAMS=${found# }"
