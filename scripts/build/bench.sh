#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build what "make bench" and the load test run: build/bench/ gets the modules of
# linux/bench and linux/hammer for kernel 7, and the programs of tests/bench,
# linked statically.

. "$(dirname "$0")/common.sh"

NAME=7
# Part of every result's name: raise it when this script changes what it builds
RECIPE=2
MODULES=(bench hammer)
PROGRAMS=(bar.c copies.c message-read.c mmap-pair.c net-rate.c round-trips.c)

KERNEL=$(readlink -f "$BUILD/kernel-$NAME") && [ -f "$KERNEL/release" ] ||
    die 2 "kernel $NAME is not built; run: make"

RESULT=bench-$({
    echo "${KERNEL##*/} $RECIPE $(compiler_id)"
    hash_files "$TOP" "${MODULES[@]/#/linux/}" include/hw/pci-ep \
        "${PROGRAMS[@]/#/tests/bench/}"
} | hash_text)

build() {
    local work dir program
    temp_dir "$CACHE/scratch"
    work=$TEMP
    mkdir -p "$work/src/linux" "$work/src/include/hw" "$work/out"
    cp -r "$TOP/include/hw/pci-ep" "$work/src/include/hw/"
    for dir in "${MODULES[@]}"; do
        cp -r "$TOP/linux/$dir" "$work/src/linux/"
        run_logged "$CACHE/log/$RESULT-$dir.log" "modules in linux/$dir: build" \
            make -C "$KERNEL/kbuild" M="$work/src/linux/$dir" W=1 -j"$JOBS" \
            modules
        if grep -n 'warning:' "$CACHE/log/$RESULT-$dir.log" >&2; then
            die 1 "the modules in linux/$dir build with warnings (above)"
        fi
        cp "$work/src/linux/$dir"/*.ko "$work/out/"
    done
    strip --strip-debug "$work"/out/*.ko
    for program in "${PROGRAMS[@]}"; do
        cc -std=gnu11 -O2 -Wall -Wextra -Werror -static \
            -o "$work/out/${program%.c}" "$TOP/tests/bench/$program"
    done
    chmod 755 "$work/out"
    publish "$work/out" "$RESULT"
}

mkdir -p "$CACHE/scratch" "$CACHE/log"
lock "$RESULT"
[ -d "$CACHE/out/$RESULT" ] || build
use "$RESULT" bench
