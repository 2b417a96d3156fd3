#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build one guest kernel:
#
#   kernel.sh [--src DIR] [--config FILE]... [--as LABEL] NAME [STAMP]
#
# NAME is a series, 7 or 6.12, and the name of a variant: 7-debug, 7-trace,
# 7-kasan, or 7-64k for arm64. Behind it may be an architecture, as in 7-arm64
# (arch.sh). DIR is a
# source tree that is taken instead of that series, and each FILE has lines of
# configuration that override those of configs/.
# build/kernel-LABEL (default NAME) then holds bzImage or Image, config, release,
# lib/modules/RELEASE, modules (the same, flat), bin (the kernel's own test
# programs), debug (modules with debug information) and kbuild (what building a
# module against this kernel takes). With debug information of the whole kernel
# there are vmlinux and vmlinux-gdb.py, too. The file "own" is there when DIR
# was given, and names what is shared by all builds of DIR.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/build/sources.sh"
. "$TOP/scripts/build/arch.sh"

load_config
CONFIGS=()
LABEL=''
while :; do
    case $1 in
    --src) KERNEL_SRC=$2 ;;
    --config) CONFIGS+=("$2") ;;
    --as) LABEL=$2 ;;
    *) break ;;
    esac
    shift 2
done
NAME=$1
set_arch "$NAME"
SERIES=${NAME_ANY%%-*}
VARIANT=${NAME_ANY#"$SERIES"}

# Part of every result's name: raise it when this script changes what it builds
RECIPE=2

# has_prompt OPTION KCONFIG: can a configuration set it, or only a driver?
has_prompt() {
    awk -v option="$1" '
        $1 == "config" { mine = $2 == option }
        mine && /^[[:space:]]+(bool|tristate)[[:space:]]+"/ { found = 1 }
        END { exit !found }' "$SRC/$2" 2> /dev/null
}

fragments() {
    local part variant='' last=''
    case $VARIANT in
    '') ;;
    -debug) variant=kernel-debug/checks ;;
    -trace) variant='kernel-symbols/symbols kernel-trace/trace' ;;
    -kasan) variant='kernel-symbols/symbols kernel-kasan/kasan' ;;
    -64k) last=kernel-arm64/64k ;;
    *) die 2 "no kernel $NAME: variants are 7-debug, 7-trace, 7-kasan and 7-64k" ;;
    esac
    if has_prompt PCI_DOE drivers/pci/Kconfig; then
        variant+=' kernel-doe/doe'
    fi
    for part in kernel/base kernel/endpoint kernel/host $variant $ARCH_CONFIG $last; do
        printf '%s\n' "$TOP/configs/$part.config"
    done
}

# Of the lines for one option only the last one counts
merge_fragments() {
    cat "$@" | tac | awk '
        /^CONFIG_/ {
            split($0, part, "=")
            option = part[1]
            if (part[2] == "n") $0 = "# " option " is not set"
        }
        /^# CONFIG_.* is not set/ { option = $2 }
        /^(# )?CONFIG_/ && !seen[option]++' | tac
}

# Every option of the fragments must be in the result. An option that this
# kernel does not know at all is only listed, unless the user asks for it.
check_config() {
    local config=$1 line option wrong='' unknown='' refused=''
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
        elif [ "$line" != "${line#\#}" ] && ! grep -q "^$option=" "$config"; then
            continue
        elif [ "${#CONFIGS[@]}" != 0 ] && merge_fragments "${CONFIGS[@]}" |
            grep -xF -- "$line" > /dev/null; then
            refused+=" $line ($(why_refused "$option" "$config"))"
        elif ! grep -qxF "${option#CONFIG_}" "$WORK/known-options"; then
            unknown+=" $option"
        else
            wrong+=" $line"
        fi
    done < "$WORK/fragments"
    [ -z "$refused" ] ||
        die 2 "kernel $NAME did not take these lines of --config:$refused;" \
            "add what they depend on"
    [ -z "$unknown" ] || say "kernel $NAME does not know:$unknown"
    [ -z "$wrong" ] || [ "${#CONFIGS[@]}" != 0 ] ||
        die 1 "kernel $NAME did not take these lines of configs/kernel:$wrong" \
            "(an option they depend on is missing)"
    [ -z "$wrong" ] || say "--config turns off:$wrong"
}

# why_refused OPTION CONFIG: what became of an option, in a few words
why_refused() {
    local line
    if ! grep -qxF "${1#CONFIG_}" "$WORK/known-options"; then
        echo "no such option"
    elif line=$(grep -E "^$1=" "$2"); then
        echo "it is ${line#*=}"
    else
        echo "it is off: something it depends on is"
    fi
}

configure_kernel() {
    local -a parts
    mapfile -t parts < <(fragments)
    mkdir -p "$WORK"
    merge_fragments "${parts[@]}" "${CONFIGS[@]}" > "$WORK/fragments"
    (cd "$SRC" && find -L . -name 'Kconfig*' -type f -exec sed -nE \
        's/^[[:space:]]*(menu)?config[[:space:]]+([A-Za-z0-9_]+).*/\2/p' {} +) |
        sort -u > "$WORK/known-options"
    run_logged "$WORK/config.log" "kernel $NAME: configure" make -C "$SRC" \
        "${ARCH_MAKE[@]}" O="$WORK/kbuild" KCONFIG_ALLCONFIG="$WORK/fragments" \
        allnoconfig
    check_config "$WORK/kbuild/.config"
}

# The test programs that come with the kernel, static, as the guests have no
# C library
build_programs() {
    local out=$1 headers=$WORK/headers kst=$SRC/tools/testing/selftests cc
    cc=$(guest_cc)
    mkdir -p "$out/bin"
    make -s -C "$SRC" "${ARCH_MAKE[@]}" O="$WORK/kbuild" INSTALL_HDR_PATH="$headers" \
        headers_install > "$WORK/headers.log" 2>&1 ||
        die 1 "kernel $NAME: headers_install failed; see $WORK/headers.log"
    if [ -f "$kst/pci_endpoint/pci_endpoint_test.c" ]; then
        "$cc" -O2 -static -isystem "$headers/include" -I "$kst" \
            "$kst/pci_endpoint/pci_endpoint_test.c" \
            -o "$out/bin/pci_endpoint_test"
    fi
    if [ -f "$SRC/tools/pci/pcitest.c" ]; then
        "$cc" -O2 -static -isystem "$headers/include" "$SRC/tools/pci/pcitest.c" \
            -o "$out/bin/pcitest"
    fi
    find "$out/bin" -type f -exec "${CROSS}strip" {} +
}

install_kernel() {
    local out=$1 release=$2 file
    cp "$WORK/kbuild/$IMAGE" "$out/${IMAGE##*/}"
    cp "$WORK/kbuild/.config" "$out/config"
    printf '%s\n' "$release" > "$out/release"
    run_logged "$WORK/install.log" "kernel $NAME: install modules" \
        make -C "$WORK/kbuild" "${ARCH_MAKE[@]}" INSTALL_MOD_PATH="$out" INSTALL_MOD_STRIP=1 \
        DEPMOD=/sbin/depmod modules_install
    rm -f "$out/lib/modules/$release/build" "$out/lib/modules/$release/source"
    install_debug "$out"
    mkdir -p "$out/modules"
    (cd "$out/modules" && find "../lib/modules/$release" -name '*.ko' \
        -exec ln -sf {} . \;)
    for file in "${IMAGE##*/}" "lib/modules/$release/modules.dep"; do
        [ -s "$out/$file" ] || die 1 "kernel $NAME: the build left no $file"
    done
}

# What addresses are decoded with, and gdb
install_debug() {
    local out=$1 objects=$WORK/kbuild
    mkdir -p "$out/debug"
    find "$objects" -name '*.ko' -exec cp -t "$out/debug" {} +
    grep -q '^CONFIG_DEBUG_INFO=y' "$objects/.config" || return 0
    cp "$objects/vmlinux" "$out/"
    if [ -d "$objects/scripts/gdb" ]; then
        mkdir -p "$out/scripts"
        cp -L "$objects/vmlinux-gdb.py" "$out/"
        cp -rL "$objects/scripts/gdb" "$out/scripts/"
    fi
}

# Building modules takes the headers, scripts and symbol versions, no objects
shrink_kbuild() {
    find "$WORK/kbuild" \( -name '*.o' -o -name '*.a' -o -name '*.ko' \
        -o -name '.*.cmd' -o -name 'vmlinux*' -o -name '*.mod.c' \
        -o -path "*/$IMAGE" \) -type f \
        ! -path '*/kbuild/scripts/*' ! -path '*/kbuild/tools/*' \
        ! -name 'vmlinux.lds' -delete
}

# The configuration is made anew for each build, and make then builds what a
# change of it or of the sources touches. Modules always get debug information:
# it costs little, and reports of the kernel name lines of drivers. CFLAGS_MODULE
# does not reach the objects of the kernel itself.
build_kernel() {
    local release start=$SECONDS targets=("${IMAGE##*/}" modules)
    [ -n "$OWN" ] || lock "$RESULT"
    is_built && return 0
    need_space 4
    configure_kernel
    if grep -q '^CONFIG_GDB_SCRIPTS=y' "$WORK/kbuild/.config"; then
        targets+=(scripts_gdb)
    fi
    say "kernel $NAME: $(expected_time)"
    run_logged "$CACHE/log/$RESULT.log" "kernel $NAME: build ($(source_name), \
$JOBS jobs)" make -C "$WORK/kbuild" "${ARCH_MAKE[@]}" -j"$JOBS" CFLAGS_MODULE=-g "${targets[@]}"
    release=$(make -s -C "$WORK/kbuild" "${ARCH_MAKE[@]}" kernelrelease)
    temp_dir "$CACHE/scratch"
    build_programs "$TEMP"
    install_kernel "$TEMP" "$release"
    if [ -n "$OWN" ]; then
        printf '%s\n' "$OWN" > "$TEMP/own"
    else
        shrink_kbuild
    fi
    ln -s "$WORK/kbuild" "$TEMP/kbuild"
    publish "$TEMP" "$RESULT"
    mkdir -p "$CACHE/times"
    echo $((SECONDS - start)) > "$CACHE/times/${WORK##*/}"
}

source_name() { basename "${KERNEL_SRC:-$SRC}"; }

# How long the build may take: as long as the last one in this directory, or what
# a whole build takes of idle processors
expected_time() {
    local minutes=12
    if [ -f "$CACHE/times/${WORK##*/}" ]; then
        echo "the build before took $(cat "$CACHE/times/${WORK##*/}") s"
        return
    fi
    case $VARIANT in
    -trace) minutes=20 ;;
    -kasan) minutes=24 ;;
    esac
    echo "a whole build takes about $(((minutes + JOBS - 1) / JOBS)) min"
}

is_built() { [ -f "$CACHE/out/$RESULT/release" ] && [ -e "$CACHE/out/$RESULT/kbuild/." ]; }

# A tree of the user's changes under us: its id is what its files look like
source_id() {
    if [ -n "$OWN" ]; then
        (cd "$SRC" && find -L . -type f -printf '%p %s %T@\n' | sort | hash_text)
    else
        basename "$SRC"
    fi
}

# Objects of the user's trees are kept, so that a change builds what it touches.
# Those that were not used for longest go.
forget_own() {
    local old
    find "$CACHE/scratch" -mindepth 1 -maxdepth 1 -name 'kernel-own-*' -mmin +60 \
        -type d -printf '%T@ %f\n' | sort -nr | tail -n +7 |
        while read -r _ old; do
            rm -rf "$CACHE/scratch/$old" "$CACHE/scratch/${old/kernel/modules}"
        done
}

mkdir -p "$CACHE/scratch" "$CACHE/log"
need_cross
# ccache finds objects of other commits of the user's tree
use_ccache() {
    ! command -v ccache > /dev/null || ARCH_MAKE+=("CC=ccache ${CROSS}gcc")
}
OWN=''
SRC=$(kernel_source "$SERIES")
mapfile -t FRAGMENTS < <(fragments)
OPTIONS=$({ cat "${FRAGMENTS[@]}"; for file in "${CONFIGS[@]}"; do cat "$file"; done
    echo "$RECIPE"; } | hash_text)
PREFIX=kernel-$NAME
[ "${#CONFIGS[@]}" = 0 ] || PREFIX=kernel-config
if [ "$SRC" = "$KERNEL_SRC" ]; then
    PREFIX=kernel-own
    use_ccache
    OWN=own-$(printf '%s' "$NAME $SRC$OPTIONS" | hash_text)
    WORK=$CACHE/scratch/kernel-$OWN
    mkdir -p "$WORK"
    touch "$WORK"
    forget_own
    SRC=$WORK/source
    # People know the files of their tree
    show_paths() { sed "s,$WORK/source/,$KERNEL_SRC/,g"; }
    # Files come and go there, so nobody else may build until the end
    lock "kernel-$OWN"
    say "kernel $NAME: looking at the files of $KERNEL_SRC"
    "$PYTHON" "$TOP/scripts/build/link-tree" "$KERNEL_SRC" "$SRC"
fi
RESULT=$PREFIX-$({ source_id; echo "$OPTIONS"; compiler_id "$(guest_cc)"; } | hash_text)
[ -n "$OWN" ] || WORK=$CACHE/scratch/$RESULT
is_built || build_kernel
use "$RESULT" "kernel-${LABEL:-$NAME}"
[ -z "${2:-}" ] || stamp "$2" "$RESULT"
