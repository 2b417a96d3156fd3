#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build our kernel modules for one guest kernel: module.sh KERNEL [STAMP].
# build/modules-KERNEL then holds *.ko. A warning fails the build.

. "$(dirname "$0")/common.sh"

NAME=$1
load_config

# Part of every result's name: raise it when this script changes what it builds
RECIPE=1

SOURCES=(linux include/hw/pci-ep)

build_modules() {
    local dir out=$WORK
    lock "$RESULT"
    [ -d "$CACHE/out/$RESULT" ] && return 0
    # Same places relative to each other as in the repository
    for dir in "${SOURCES[@]}"; do
        mkdir -p "$out/$dir"
        rsync -rc --delete --exclude='*.o' --exclude='*.ko' --exclude='*.mod*' \
            --exclude='.*' --exclude='Module.symvers' \
            --exclude='modules.order' "$TOP/$dir/" "$out/$dir/"
    done
    run_logged "$CACHE/log/$RESULT.log" "modules for kernel $NAME: build" \
        make -C "$KERNEL/kbuild" M="$out/linux" W=1 -j"$JOBS" modules
    if grep -n 'warning:' "$CACHE/log/$RESULT.log" >&2; then
        die 1 "the modules for kernel $NAME build with warnings (above)"
    fi
    out=$(mktemp -d "$CACHE/scratch/.out.XXXXXX")
    chmod 755 "$out"
    cp "$WORK"/linux/*.ko "$out/"
    strip --strip-debug "$out"/*.ko
    publish "$out" "$RESULT"
}

KERNEL=$(readlink -f "$BUILD/kernel-$NAME") && [ -f "$KERNEL/release" ] ||
    die 2 "kernel $NAME is not built; run: ninja -C build kernel-$NAME"
mkdir -p "$CACHE/scratch" "$CACHE/log"
WORK=$CACHE/scratch/modules-${KERNEL##*/}
RESULT=modules-$NAME-$({ echo "${KERNEL##*/} $RECIPE"
    hash_files "$TOP" "${SOURCES[@]}"; } | hash_text)
[ -d "$CACHE/out/$RESULT" ] || build_modules
use "$RESULT" "modules-$NAME"
[ -z "${2:-}" ] || stamp "$2" "$RESULT"
