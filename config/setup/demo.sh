#!/bin/sh
# `make demo`: calculates the molecules of config/demo with a daemon of its own (private PostgreSQL, the pool `local`), shows how
# far it is, prints the table, and stops what it started. What it calculated stays in .qcbatch-demo/, so that the next run
# finds it. Exit code 0 only when every record is complete.
set -eu
here=$(dirname "$0")
. "$here/packages.sh"
say() { printf 'demo: %s\n' "$*" >&2; }
project=$(pwd)
program=${CARGO_TARGET_DIR:-$project/target}/demo/qcbatch
[ -x "$program" ] || die "no $program; run make demo"

found=$("$here/all.sh" run) || exit 1
eval "$found"
export QCBATCH_PG_BIN

# Every folder above the state must let PostgreSQL's unprivileged user through when root runs the demo, and a socket in it
# must not have a longer path than the kernel takes; else the demo's state goes to /var/tmp.
suits() {
    [ "${#1}" -le 70 ] || return 1
    [ "$(id -u)" -eq 0 ] || return 0
    folder=$(dirname "$1")
    while [ "$folder" != / ]; do
        case "$(stat -c %A "$folder")" in *[xt]) ;; *) return 1 ;; esac
        folder=$(dirname "$folder")
    done
}
state=${QCBATCH_DEMO_STATE:-$project/.qcbatch-demo}
suits "$state" || { state=/var/tmp/qcbatch-demo-$(id -u); say "PostgreSQL cannot work in this directory; the demo's state is in $state"; }
mkdir -p "$state"
{ [ -O "$state" ] && [ ! -L "$state" ]; } || die "$state is not a directory of your own"

config=$state/qcbatch.toml
cat >"$config" <<END
# Written by make demo. Everything else is as qcbatch has it by default.
[site]
name = "demo"
state = "$state"

[database]
bin_dir = "$QCBATCH_PG_BIN"

[worker]
python = "$QCBATCH_PYTHON"
END

qcbatch() { "$program" --config "$config" "$@"; }

# The inputs whose program is here. Debian's Psi4 1.3 needs the older QCEngine.
chosen=
skipped=0
for input in config/demo/*.json config/demo/*.jsonl; do
    [ -e "$input" ] || continue
    case " $QCBATCH_PROGRAMS " in
    *" psi4 "*) ;;
    *) if grep -qi '"program"[: ]*"psi4"' "$input"; then skipped=$((skipped + 1)); continue; fi ;;
    esac
    chosen="$chosen $input"
done
[ "$skipped" -eq 0 ] || say "without psi4, $skipped of the inputs are left out"

cancel_all() {
    say "stopping; what is not calculated yet comes with the next run"
    # shellcheck disable=SC2086 # a list of words on purpose
    [ -z "$ids" ] || qcbatch cancel --quiet $ids >/dev/null 2>&1 || :
    tries=0
    while [ -n "$(qcbatch jobs --quiet 2>/dev/null)" ] && [ "$tries" -lt 60 ]; do
        tries=$((tries + 1))
        sleep 0.5
    done
}

ids=
daemon=
stop() {
    status=$?
    trap - EXIT
    trap '' INT TERM HUP PIPE
    # Whatever fails from here on, such as a message that nobody reads any more: all is stopped.
    set +e
    if [ -n "$daemon" ]; then
        # Only after an interruption is anything still open; its jobs would go on without the daemon.
        [ "$status" -lt 128 ] || cancel_all
        # The daemon stops the PostgreSQL that it started.
        kill "$daemon" 2>/dev/null || :
        wait "$daemon" || say "the daemon did not stop well; see $state/daemon.log"
    fi
    # After a daemon that was killed: an answer that nothing ran is as good.
    qcbatch db stop >>"$state/daemon.log" 2>&1 || :
    exit "$status"
}

! qcbatch status >/dev/null 2>&1 || die "another demo is running in $state"
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE
say "starting the daemon; its log is $state/daemon.log"
# Not through the function: $! has to be the daemon itself. In a session of its own, so that Ctrl-C ends this script first.
setsid "$program" --config "$config" daemon >"$state/daemon.log" 2>&1 &
daemon=$!
tries=0
until qcbatch status >/dev/null 2>&1; do
    kill -0 "$daemon" 2>/dev/null || { tail -n 20 "$state/daemon.log" >&2; die "the daemon ended; its log is $state/daemon.log"; }
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || die "the daemon does not answer; its log is $state/daemon.log"
    sleep 0.1
done

# shellcheck disable=SC2086 # lists of words on purpose, here and below
ids=$(qcbatch submit --quiet $chosen | tr '\n' ' ')
[ -n "$ids" ] || exit 1
# What an earlier run left behind is tried again.
qcbatch retry --quiet --status error,cancelled $ids >/dev/null 2>&1 || :
say "submitted $(echo $chosen | wc -w) files from config/demo: $(echo $ids | wc -w) calculations"

# One line that is rewritten on a terminal; in a file or a pipe a line now and then.
outcome=0
if [ -t 2 ]; then
    qcbatch wait $ids || outcome=$?
else
    while :; do
        outcome=0
        answer=$(qcbatch wait --timeout 5s $ids 2>&1) || outcome=$?
        [ "$outcome" -eq 7 ] || break
        say "${answer##*in time: }"
    done
    printf '%s\n' "$answer"
fi
qcbatch list --limit 1000 $ids
say "results and logs are in $state"
say "to look around, run the daemon: $program --config $config daemon"
say "and ask it: $program --config $config show 1"
exit "$outcome"
