# Ends what a test started, whatever became of the test. `reap.sh watch` reads lines `+<directory>` and `-<directory>` from
# standard input; when that closes (the test process ended, however), it reaps every directory still on its list.
# `reap.sh now` reaps at once the one directory that it reads from standard input (an argument would name it, too).
#
# Reaping a private directory: every process that names the directory in its command line or environment, and every
# descendant of one, gets TERM, then KILL; then the directory goes. The directory's name is random, so only processes that
# the test started can name it.

named_in() {
    printf '%s\n' "$1" | grep -lazF -f - /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | sort -u
}

# Adds to the ids on standard input those of all their descendants.
with_descendants() {
    roots=$(tr '\n' ' ')
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^\([0-9]*\) (.*) [A-Za-z] \([0-9]*\) .*/\1 \2/' |
        awk -v roots="$roots" '
            { parent[$1] = $2 }
            END {
                n = split(roots, ids, " ")
                for (i = 1; i <= n; i++) wanted[ids[i]] = 1
                do {
                    grew = 0
                    for (pid in parent) if (!(pid in wanted) && (parent[pid] in wanted)) { wanted[pid] = 1; grew = 1 }
                } while (grew)
                for (pid in wanted) if (pid in parent) print pid
            }'
}

reap() {
    case "$1" in /*/qcb-*) ;; *) return ;; esac
    turn=0
    while [ "$turn" -lt 100 ]; do
        pids=$(named_in "$1" | with_descendants)
        [ -n "$pids" ] || break
        if [ "$turn" -lt 30 ]; then signal=TERM; else signal=KILL; fi
        # CONT as well: a stopped process takes no TERM.
        [ $((turn % 10)) -ne 0 ] || kill -s "$signal" $pids 2>/dev/null
        [ "$turn" -ne 1 ] || kill -s CONT $pids 2>/dev/null
        turn=$((turn + 1))
        sleep 0.1
    done
    rm -rf "$1"
}

case "$1" in
now) read -r directory && reap "$directory" ;;
watch)
    # Interrupts from the terminal are for the test; this ends with it.
    trap '' INT TERM HUP
    list=
    while read -r line; do
        directory=${line#?}
        case "$line" in
        +*) list="$list $directory" ;;
        -*) list=$(printf '%s' "$list" | tr ' ' '\n' | grep -vxF "$directory" | tr '\n' ' ') ;;
        esac
    done
    for directory in $list; do reap "$directory"; done
    ;;
esac
