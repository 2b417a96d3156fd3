# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Variables set here are used by the scripts that source this.
# shellcheck disable=SC2034
#
# What every build step shares: places, messages, locks, hashes, progress.
# Sourced, not run.

set -euo pipefail
shopt -s inherit_errexit
umask 022
export LC_ALL=C

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# ninja runs the steps in its build directory, which may be another one
if [ -n "${PCI_EP_BUILD:-}" ]; then
    BUILD=$PCI_EP_BUILD
elif [ -f build.ninja ] && [ -f config.sh ]; then
    BUILD=$PWD
else
    BUILD=$TOP/build
fi
CACHE=${PCI_EP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/pci-ep}
JOBS=$(nproc)

# A pyenv or conda python in PATH may lack what QEMU's configure needs
PYTHON=/usr/bin/python3
MESON=/usr/bin/meson
[ -x "$MESON" ] || MESON=meson

say() { printf '%s\n' "pci-ep: $*" >&2; }

# die STATUS MESSAGE...: status 1 failed, 2 the caller asked for the impossible.
# A program that runs us may give a file for the message in PCI_EP_ERROR.
die() {
    local status=$1
    shift
    if [ -n "${PCI_EP_ERROR:-}" ]; then
        printf '%s\n' "$*" > "$PCI_EP_ERROR"
    else
        printf '%s\n' "pci-ep: error: $*" >&2
    fi
    exit "$status"
}

# What ./configure was told
load_config() {
    QEMU_SERIES=10.0 QEMU_SRC='' KERNEL_SRC=''
    QEMU_OPTIONS=()
    if [ -f "$BUILD/config.sh" ]; then
        # shellcheck disable=SC1091
        . "$BUILD/config.sh"
    fi
}

# lock NAME: hold $CACHE/lock/NAME until the process ends
lock() {
    mkdir -p "$CACHE/lock"
    local fd
    exec {fd}> "$CACHE/lock/$1"
    if ! flock -n "$fd"; then
        say "waiting for another build that holds '$1'"
        flock "$fd"
    fi
}

hash_text() { sha256sum | cut -c1-16; }

# hash_files DIR PATH...: names and contents below DIR, not times
hash_files() {
    local dir=$1
    shift
    (cd "$dir" && find "$@" -type f ! -name '.*' ! -name '*~' -print0 |
        sort -z | xargs -0r sha256sum) | hash_text
}

compiler_id() { "${1:-cc}" --version | head -n 1; }

need_space() {
    local have
    mkdir -p "$CACHE"
    have=$(df -Pk "$CACHE" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$have" -ge "$1" ] ||
        die 2 "$CACHE has ${have} GiB free, $1 GiB are needed; free some or" \
            "set PCI_EP_CACHE to a directory on a larger disk"
}

# temp_dir DIR: make a directory there in TEMP, gone when the process ends
temp_dir() {
    mkdir -p "$1"
    TEMP=$(mktemp -d "$1/.tmp.XXXXXX")
    chmod 755 "$TEMP"
    TEMPS+=("$TEMP")
    trap 'rm -rf "${TEMPS[@]}"' EXIT
}
TEMPS=()

# publish TMPDIR NAME: make a finished result visible at once or not at all
publish() {
    mkdir -p "$CACHE/out"
    rm -rf "$CACHE/out/$2"
    mv "$1" "$CACHE/out/$2"
}

# use NAME LINK: point build/LINK at a result, forget results nobody used lately
use() {
    local old
    mkdir -p "$BUILD"
    touch "$CACHE/out/$1"
    if [ "$(readlink "$BUILD/$2" || true)" != "$CACHE/out/$1" ]; then
        rm -rf "${BUILD:?}/.$2.new"
        ln -s "$CACHE/out/$1" "$BUILD/.$2.new"
        [ -L "$BUILD/$2" ] || rm -rf "${BUILD:?}/$2"
        mv -T "$BUILD/.$2.new" "$BUILD/$2"
    fi
    find "$CACHE/out" -mindepth 1 -maxdepth 1 -mmin +60 -regextype sed \
        -regex ".*/${1%-*}-[0-9a-f]\{16\}" -printf '%T@ %f\n' | sort -nr |
        tail -n +9 | while read -r _ old; do
            rm -rf "$CACHE/out/$old" "$CACHE/scratch/$old"
        done
}

# stamp FILE TEXT: rewrite only when it differs, so that ninja sees no change
stamp() {
    local text
    text=$(printf '%s\n' "$2")
    [ -f "$1" ] && [ "$(cat "$1")" = "$text" ] || printf '%s\n' "$text" > "$1"
}

# progress LOG: copy stdin to LOG; show one moving line on a terminal, else a
# line every 20 seconds
progress() {
    local log=$1 line count=0 shown=0 last=$SECONDS start=$SECONDS tty=''
    [ -t 2 ] && tty=1
    : > "$log"
    while IFS= read -r line; do
        printf '%s\n' "$line" >> "$log"
        count=$((count + 1))
        if [ -n "$tty" ]; then
            [ "$SECONDS" -eq "$last" ] && [ "$shown" -ne 0 ] && continue
            printf '\r\033[K%4ds %.100s' $((SECONDS - start)) "$line" >&2
            shown=1
            last=$SECONDS
        elif [ $((SECONDS - last)) -ge 20 ]; then
            printf '  %4ds %6d lines: %.90s\n' $((SECONDS - start)) "$count" \
                "$line" >&2
            last=$SECONDS
        fi
    done
    [ -n "$tty" ] && printf '\r\033[K' >&2
    return 0
}

# Rewrites paths in messages of compilers; a script may define it anew
show_paths() { cat; }

# run_logged LOG WHAT COMMAND...: run with progress, on failure show the log
run_logged() {
    local log=$1 what=$2
    shift 2
    local start=$SECONDS status=0
    mkdir -p "$(dirname "$log")"
    say "$what"
    "$@" < /dev/null 2>&1 | progress "$log" || status=$?
    if [ "$status" -ne 0 ]; then
        { grep -nE -A3 '(error|ERROR|FAILED|\*\*\*)' "$log" || true; } |
            tail -n 30 | show_paths >&2
        tail -n 10 "$log" | show_paths >&2
        die 1 "$what failed; the whole log is $log"
    fi
    say "$what: done in $((SECONDS - start)) s"
}
