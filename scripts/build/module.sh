#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build our kernel modules for one guest kernel: module.sh KERNEL [STAMP].
# build/modules-KERNEL then holds *.ko, and debug/ the same with debug information. A
# warning fails the build. With them is the kernel's own nvmet-pci-epf, corrected,
# unless the kernel is the user's.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/build/arch.sh"

NAME=$1
set_arch "$NAME"
load_config

# Part of every result's name: raise it when this script changes what it builds
RECIPE=5

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
    RESULT=$PREFIX-$({
        echo "${KERNEL##*/} $RECIPE"
        hash_files "$1" "${SOURCES[@]}"
        hash_text < "$FIX"
    } | hash_text)
    [ -d "$CACHE/out/$RESULT" ]
}

# The kernel's nvmet-pci-epf with the errors taken out that lose data
build_nvmet() {
    local from=$KERNEL/kbuild/source/drivers/nvme/target status=0
    local dir=$WORK/nvmet
    [ ! -e "$KERNEL/own" ] && grep -q '^CONFIG_NVME_TARGET_PCI_EPF=m' \
        "$KERNEL/config" || return 0
    rm -rf "$dir"
    mkdir -p "$dir"
    "$FIX" "$from/pci-epf.c" "$dir/pci-epf.c" || status=$?
    if [ "$status" != 0 ]; then
        say "kernel $NAME: nvmet-pci-epf differs from the one that $FIX corrects," \
            "it is taken as it is"
        return 0
    fi
    cp "$from"/*.h "$dir/"
    printf '%s\n' 'obj-m := nvmet-pci-epf.o' 'nvmet-pci-epf-y := pci-epf.o' \
        > "$dir/Kbuild"
    run_logged "$CACHE/log/$RESULT-nvmet.log" "nvmet-pci-epf for kernel $NAME: build" \
        make -C "$KERNEL/kbuild" "${ARCH_MAKE[@]}" M="$dir" CFLAGS_MODULE=-g modules
    cp "$dir/nvmet-pci-epf.ko" "$TEMP/"
}

build_modules() {
    run_logged "$CACHE/log/$RESULT.log" "modules for kernel $NAME: build" \
        make -C "$KERNEL/kbuild" "${ARCH_MAKE[@]}" M="$WORK/linux" W=1 \
        CFLAGS_MODULE=-g -j"$JOBS" modules
    if grep -n 'warning:' "$CACHE/log/$RESULT.log" >&2; then
        # Objects that are there are not built again, nor warned about
        rm -rf "$WORK"
        die 1 "the modules for kernel $NAME build with warnings (above)"
    fi
    temp_dir "$CACHE/scratch"
    cp "$WORK"/linux/*.ko "$WORK"/linux/test/*.ko \
        "$WORK"/linux/functions/*/*.ko "$TEMP/"
    build_nvmet
    mkdir "$TEMP/debug"
    cp "$TEMP"/*.ko "$TEMP/debug/"
    "${CROSS}strip" --strip-debug "$TEMP"/*.ko
    publish "$TEMP" "$RESULT"
}

KERNEL=$(readlink -f "$BUILD/kernel-$NAME") && [ -f "$KERNEL/release" ] ||
    die 2 "kernel $NAME is not built; run: ninja -C build kernel-$NAME"
mkdir -p "$CACHE/scratch" "$CACHE/log"
FIX=$TOP/scripts/build/fix-nvmet
PREFIX=modules-$NAME
WORK=$CACHE/scratch/modules-${KERNEL##*/}
if [ -e "$KERNEL/own" ]; then
    # One directory for all builds of the user's tree
    PREFIX=modules-own
    WORK=$CACHE/scratch/modules-$(cat "$KERNEL/own")
fi
# The sources may change until we hold the lock and have a copy
if ! name_result "$TOP"; then
    lock "${WORK##*/}"
    sync_sources
    name_result "$WORK/src" || build_modules
fi
use "$RESULT" "modules-$NAME"
[ -z "${2:-}" ] || stamp "$2" "$RESULT"
