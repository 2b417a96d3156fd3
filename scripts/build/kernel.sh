#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build one guest kernel: kernel.sh NAME [STAMP], NAME is 7, 6.12 or 7-debug.
# build/kernel-NAME then holds bzImage, config, release, lib/modules/RELEASE,
# modules (the same, flat), bin (the kernel's own test programs) and kbuild
# (what building a module against this kernel takes).

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/build/sources.sh"

NAME=$1
SERIES=${NAME%-debug}

# Part of every result's name: raise it when this script changes what it builds
RECIPE=1
load_config

fragments() {
    local part
    for part in base endpoint host; do
        printf '%s\n' "$TOP/configs/kernel/$part.config"
    done
    [ "$NAME" = "$SERIES" ] || printf '%s\n' "$TOP/configs/kernel-debug/checks.config"
}

# Every option of the fragments must be in the result. An option that this
# kernel does not know at all is only listed.
check_config() {
    local config=$1 line option wrong='' unknown=''
    while IFS= read -r line; do
        case $line in
        CONFIG_*) option=${line%%=*} ;;
        '# CONFIG_'*' is not set')
            option=${line#\# }
            option=${option%% *}
            ;;
        *) continue ;;
        esac
        if grep -qxF -- "$line" "$config"; then
            continue
        elif ! grep -qxF "${option#CONFIG_}" "$WORK/known-options"; then
            unknown+=" $option"
        elif [ "$line" != "${line#\#}" ] && ! grep -q "^$option=" "$config"; then
            continue
        else
            wrong+=" $line"
        fi
    done < "$WORK/fragments"
    [ -z "$unknown" ] || say "kernel $NAME does not know:$unknown"
    [ -z "$wrong" ] ||
        die 1 "kernel $NAME did not take these lines of configs/kernel:$wrong" \
            "(an option they depend on is missing)"
}

configure_kernel() {
    local -a parts
    mapfile -t parts < <(fragments)
    mkdir -p "$WORK"
    cat "${parts[@]}" > "$WORK/fragments"
    (cd "$SRC" && find . -name 'Kconfig*' -type f -exec sed -nE \
        's/^[[:space:]]*(menu)?config[[:space:]]+([A-Za-z0-9_]+).*/\2/p' {} +) |
        sort -u > "$WORK/known-options"
    run_logged "$WORK/config.log" "kernel $NAME: configure" make -C "$SRC" \
        O="$WORK/kbuild" KCONFIG_ALLCONFIG="$WORK/fragments" allnoconfig
    check_config "$WORK/kbuild/.config"
}

# The test programs that come with the kernel, static, as the guests have no
# C library
build_programs() {
    local out=$1 headers=$WORK/headers kst=$SRC/tools/testing/selftests
    mkdir -p "$out/bin"
    make -s -C "$SRC" O="$WORK/kbuild" INSTALL_HDR_PATH="$headers" \
        headers_install > "$WORK/headers.log" 2>&1 ||
        die 1 "kernel $NAME: headers_install failed; see $WORK/headers.log"
    if [ -f "$kst/pci_endpoint/pci_endpoint_test.c" ]; then
        cc -O2 -static -isystem "$headers/include" -I "$kst" \
            "$kst/pci_endpoint/pci_endpoint_test.c" \
            -o "$out/bin/pci_endpoint_test"
    fi
    if [ -f "$SRC/tools/pci/pcitest.c" ]; then
        cc -O2 -static -isystem "$headers/include" "$SRC/tools/pci/pcitest.c" \
            -o "$out/bin/pcitest"
    fi
    strip "$out/bin"/*
}

install_kernel() {
    local out=$1 release=$2 file
    cp "$WORK/kbuild/arch/x86/boot/bzImage" "$out/bzImage"
    cp "$WORK/kbuild/.config" "$out/config"
    printf '%s\n' "$release" > "$out/release"
    run_logged "$WORK/install.log" "kernel $NAME: install modules" \
        make -C "$WORK/kbuild" INSTALL_MOD_PATH="$out" INSTALL_MOD_STRIP=1 \
        DEPMOD=/sbin/depmod modules_install
    rm -f "$out/lib/modules/$release/build" "$out/lib/modules/$release/source"
    mkdir -p "$out/modules"
    (cd "$out/modules" && find "../lib/modules/$release" -name '*.ko' \
        -exec ln -sf {} . \;)
    for file in bzImage "lib/modules/$release/modules.dep"; do
        [ -s "$out/$file" ] || die 1 "kernel $NAME: the build left no $file"
    done
}

# Building modules takes the headers, scripts and symbol versions, no objects
shrink_kbuild() {
    find "$WORK/kbuild" \( -name '*.o' -o -name '*.a' -o -name '*.ko' \
        -o -name '.*.cmd' -o -name 'vmlinux*' -o -name '*.mod.c' \
        -o -path '*/boot/bzImage' \) -type f \
        ! -path '*/kbuild/scripts/*' ! -path '*/kbuild/tools/*' \
        ! -name 'vmlinux.lds' -delete
}

build_kernel() {
    local release
    lock "$RESULT"
    [ -f "$CACHE/out/$RESULT/release" ] && return 0
    need_space 4
    configure_kernel
    run_logged "$CACHE/log/$RESULT.log" "kernel $NAME: build ($(basename \
        "$SRC"), $JOBS jobs)" make -C "$WORK/kbuild" -j"$JOBS" bzImage modules
    release=$(make -s -C "$WORK/kbuild" kernelrelease)
    temp_dir "$CACHE/scratch"
    build_programs "$TEMP"
    install_kernel "$TEMP" "$release"
    [ -n "$KERNEL_SRC" ] || shrink_kbuild
    ln -s "$WORK/kbuild" "$TEMP/kbuild"
    publish "$TEMP" "$RESULT"
}

# A tree of the user's changes under us: its id is what its files look like
source_id() {
    if [ "$SRC" = "$KERNEL_SRC" ]; then
        (cd "$SRC" && find . -name .git -prune -o -type f \
            \( -name '*.[chS]' -o -name 'Kconfig*' -o -name 'Makefile*' \
            -o -name Kbuild \) -printf '%p %s %T@\n' | sort | hash_text)
    else
        basename "$SRC"
    fi
}

mkdir -p "$CACHE/scratch" "$CACHE/log"
SRC=$(kernel_source "$SERIES")
mapfile -t FRAGMENTS < <(fragments)
OPTIONS=$({ cat "${FRAGMENTS[@]}"; echo "$RECIPE"; } | hash_text)
RESULT=kernel-$NAME-$({ source_id; echo "$OPTIONS"; compiler_id; } | hash_text)
WORK=$CACHE/scratch/$RESULT
if [ "$SRC" = "$KERNEL_SRC" ]; then
    # Keep one object tree for it, so that a change builds what it touches
    WORK=$CACHE/scratch/kernel-$NAME-$(printf '%s' "$SRC$OPTIONS" | hash_text)
fi
[ -f "$CACHE/out/$RESULT/release" ] || build_kernel
use "$RESULT" "kernel-$NAME"
[ -z "${2:-}" ] || stamp "$2" "$RESULT"
