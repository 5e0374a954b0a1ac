#!/bin/sh
# Finds or installs libfaketime, with which the tests give a job a clock that is an hour off.
# Prints `QCBATCH_TEST_FAKETIME=<the library>`.
set -eu
. "$(dirname "$0")/packages.sh"

library() {
    for path in /usr/lib/*/faketime/libfaketime.so.1 /usr/lib/faketime/libfaketime.so.1 /usr/lib64/faketime/libfaketime.so.1; do
        [ ! -e "$path" ] || { echo "$path"; return 0; }
    done
    return 1
}

library >/dev/null || apt_install faketime || :
found=$(library) || { lack "libfaketime" faketime; exit 1; }
echo "QCBATCH_TEST_FAKETIME=$found"
