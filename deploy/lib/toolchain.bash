# Sourced by deploy/run, deploy/test and .ci/run: what a build of Carom needs.
# Wants $root (the project) and $packages (deploy/lib/packages).
# shellcheck shell=bash
: "${root:?}" "${packages:?}"

say() {
    printf '» %s\n' "$1"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit "${2:-1}"
}

# rustup's folder is not on the PATH of every shell that has Rust.
need_rust() {
    if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    fi
    command -v cargo >/dev/null ||
        die 'Rust is not here (no cargo on the PATH): install it with rustup, then run this again'
    say "Rust is here: $(cd -- "$root" && cargo --version)"
}

# SQLite and ring are built from C sources.
need_c_compiler() {
    if ! command -v cc >/dev/null; then
        say 'a C compiler is missing: installing gcc from the system packages'
        "$packages" gcc libc6-dev || die 'no C compiler (cc): install one, then run this again'
    fi
}

target_dir() {
    local metadata
    metadata=$(cd -- "$root" && cargo metadata --no-deps --format-version 1)
    [[ $metadata =~ \"target_directory\":\"([^\"]+)\" ]] ||
        die 'cargo metadata names no target directory'
    printf '%s\n' "${BASH_REMATCH[1]}"
}
