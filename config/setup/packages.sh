# Sourced by the installers beside it: messages, rights, and the distribution's packages (Debian, Ubuntu).
# Messages go to standard error; standard output is for what an installer found.

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# How to become root without being asked: prints the prefix, fails where there is no way.
root_prefix() {
    if [ "$(id -u)" -eq 0 ]; then echo env; elif have sudo && sudo -n true 2>/dev/null; then echo sudo -n; else return 1; fi
}

may_install() { have apt-get && root_prefix >/dev/null; }

# `lack WHAT PACKAGE...`: says what is not here and which packages an administrator would install. `all.sh` collects the
# packages in a file and says everything in one line.
lack() {
    what=$1
    shift
    if [ -n "${SETUP_LACKING:-}" ]; then printf '%s\n' "$@" >>"$SETUP_LACKING"
    else say "no $what; $(install_hint "$@")"; fi
}

install_hint() {
    if may_install; then echo "this distribution has no such package, please install by hand: $*"
    elif have apt-get; then echo "an administrator can: apt-get install $*"
    else echo "please install: $*"; fi
}

apt_quiet() {
    log=$(mktemp)
    # shellcheck disable=SC2046 # the prefix is two words on purpose
    if $(root_prefix) env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1 </dev/null
    then rm -f "$log"; else tail -n 15 "$log" >&2; rm -f "$log"; return 1; fi
}

known_to_apt() {
    for package in "$@"; do
        apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]' || return 1
    done
}

# Installs packages of the distribution without starting the services they bring. The list of packages is refreshed when one
# is unknown, or once more when the install failed (an old list names files that the mirror no longer has).
apt_install() {
    may_install || return 1
    known_to_apt "$@" || apt_quiet update || return 1
    known_to_apt "$@" || { say "this distribution has no package for: $*"; return 1; }
    say "installing $*"
    without_services apt_quiet install --no-install-recommends "$@" && return 0
    apt_quiet update && without_services apt_quiet install --no-install-recommends "$@"
}

# Debian asks /usr/sbin/policy-rc.d before a package starts its service; 101 means no. A policy of the machine's own is kept.
without_services() {
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then "$@"; return; fi
    prefix=$(root_prefix)
    printf '#!/bin/sh\nexit 101\n' | $prefix tee "$policy" >/dev/null && $prefix chmod 755 "$policy"
    status=0
    "$@" || status=$?
    $prefix rm -f "$policy"
    return "$status"
}
