#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build our kernel modules for one guest kernel: module.sh KERNEL [STAMP].
# build/modules-KERNEL then holds *.ko. A warning fails the build.

. "$(dirname "$0")/common.sh"

NAME=$1
load_config

# Part of every result's name: raise it when this script changes what it builds
RECIPE=2

SOURCES=(linux include/hw/pci-ep)

# Same places relative to each other as in the repository
sync_sources() {
    local dir
    for dir in "${SOURCES[@]}"; do
        mkdir -p "$WORK/src/$dir" "$WORK/$dir"
        rsync -rc --delete --exclude='*.o' --exclude='*.ko' --exclude='*.mod*' \
            --exclude='.*' --exclude='Module.symvers' \
            --exclude='modules.order' "$TOP/$dir/" "$WORK/src/$dir/"
        rsync -rc "$WORK/src/$dir/" "$WORK/$dir/"
    done
}

name_result() {
    RESULT=modules-$NAME-$({
        echo "${KERNEL##*/} $RECIPE"
        hash_files "$1" "${SOURCES[@]}"
    } | hash_text)
    [ -d "$CACHE/out/$RESULT" ]
}

build_modules() {
    run_logged "$CACHE/log/$RESULT.log" "modules for kernel $NAME: build" \
        make -C "$KERNEL/kbuild" M="$WORK/linux" W=1 -j"$JOBS" modules
    if grep -n 'warning:' "$CACHE/log/$RESULT.log" >&2; then
        # Objects that are there are not built again, nor warned about
        rm -rf "$WORK"
        die 1 "the modules for kernel $NAME build with warnings (above)"
    fi
    temp_dir "$CACHE/scratch"
    cp "$WORK"/linux/*.ko "$WORK"/linux/test/*.ko "$TEMP/"
    strip --strip-debug "$TEMP"/*.ko
    publish "$TEMP" "$RESULT"
}

KERNEL=$(readlink -f "$BUILD/kernel-$NAME") && [ -f "$KERNEL/release" ] ||
    die 2 "kernel $NAME is not built; run: ninja -C build kernel-$NAME"
mkdir -p "$CACHE/scratch" "$CACHE/log"
WORK=$CACHE/scratch/modules-${KERNEL##*/}
# The sources may change until we hold the lock and have a copy
if ! name_result "$TOP"; then
    lock "${WORK##*/}"
    sync_sources
    name_result "$WORK/src" || build_modules
fi
use "$RESULT" "modules-$NAME"
[ -z "${2:-}" ] || stamp "$2" "$RESULT"
