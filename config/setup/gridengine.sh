#!/bin/sh
# Finds or installs Grid Engine for the tests, which start private cells of it. Starts and enables nothing, and sets up no
# cell of the machine's own.
set -eu
. "$(dirname "$0")/packages.sh"

lacks() {
    for program in qsub qstat qdel qacct qconf; do
        have "$program" || return 0
    done
    for program in sge_qmaster sge_execd; do
        ls /usr/lib/gridengine/"$program" /usr/lib/gridengine/*/"$program" >/dev/null 2>&1 || have "$program" || return 0
    done
    return 1
}

# The packages would ask who is master and make a cell `default`; told beforehand not to, they only bring files.
preseed() {
    prefix=$(root_prefix) || return 1
    have debconf-set-selections || return 0
    printf '%s\n' \
        'gridengine-common shared/gridengineconfig boolean false' \
        'gridengine-client shared/gridengineconfig boolean false' \
        'gridengine-exec shared/gridengineconfig boolean false' \
        'gridengine-master shared/gridengineconfig boolean false' |
        $prefix debconf-set-selections
}

if lacks; then
    preseed && apt_install gridengine-master gridengine-exec gridengine-client || :
    ! lacks || { lack "Grid Engine" gridengine-master gridengine-exec gridengine-client; exit 1; }
    # Its services stay off when the machine starts: a cell of the machine's own is an administrator's to make.
    prefix=$(root_prefix) || exit 0
    for service in gridengine-master gridengine-exec; do
        ! have update-rc.d || $prefix update-rc.d "$service" disable >/dev/null 2>&1 || :
    done
fi
