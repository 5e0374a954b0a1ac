#!/bin/sh
# Sees to Rust and a C compiler (the bundled zstd and the TLS library need one).
set -eu
. "$(dirname "$0")/packages.sh"

have cargo || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH="$HOME/.cargo/bin:$PATH"
have cargo || die "no cargo; install Rust from https://rustup.rs, then run make again"
needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(cargo --version | cut -d' ' -f2)
oldest=$(printf '%s\n%s\n' "$needed" "$found" | sort -V | head -n 1)
[ "$oldest" = "$needed" ] || die "cargo $found is older than $needed; run: rustup update stable"
have cc || apt_install gcc libc6-dev || { lack "C compiler" gcc libc6-dev; exit 1; }
