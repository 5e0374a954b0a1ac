#!/bin/sh
# `python.sh v1|v2`: a virtual environment with one generation of QCEngine, as config/python/requirements-<generation>.txt
# says. v1 speaks QCSchema version 1 and drives the Psi4 1.3.2 of Debian; v2 is the newest. Prints `<variable>=<directory>`.
set -eu
. "$(dirname "$0")/packages.sh"
generation=${1:?say v1 or v2}
requirements=config/python/requirements-$generation.txt
environment=$(pwd)/.venv-$generation
stamp=$environment/.installed
[ -r "$requirements" ] || die "no $requirements (run make from the project's directory)"

# QCEngine 0.29 needs numpy 1, whose last wheels are for Python 3.12.
case "$generation" in v1) newest=12 ;; *) newest=14 ;; esac

fits() {
    "$1" -c "import sys; sys.exit(not (sys.version_info[0] == 3 and 10 <= sys.version_info[1] <= $newest))" 2>/dev/null
}
makes_environments() { fits "$1" && "$1" -c 'import ensurepip, venv' 2>/dev/null; }

choose() {
    for candidate in ${QCBATCH_SETUP_PYTHON:-} python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$1" "$candidate"; then command -v "$candidate"; return; fi
    done
    return 1
}

wanted=$(cksum <"$requirements")
if [ ! -e "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ] || ! "$environment/bin/python" -c '' 2>/dev/null; then
    python=$(choose makes_environments) || {
        apt_install python3 python3-venv || :
        python=$(choose makes_environments) ||
            { lack "Python 3.10-3.$newest with venv" python3 python3-venv; exit 1; }
    }
    say "creating .venv-$generation with $("$python" --version) from $requirements"
    rm -rf "$environment"
    "$python" -m venv "$environment"
    "$environment/bin/pip" install -q --disable-pip-version-check --use-pep517 -r "$requirements" >&2 ||
        die "pip could not install $requirements; is the package index reachable?"
    echo "$wanted" >"$stamp"
fi
case "$generation" in v1) name=QCBATCH_VENV_V1 ;; *) name=QCBATCH_VENV_V2 ;; esac
echo "$name=$environment"
