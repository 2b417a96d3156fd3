#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Lay our tree over a QEMU source and build it: qemu.sh all|util|aarch64 [STAMP].
# all:  build/qemu holds qemu-system-x86_64, its firmware, the qtests.
# aarch64: build/qemu-aarch64 holds qemu-system-aarch64. It is built from the same
#       tree, in a build directory of its own.
# util: build/qemu-util holds what unit tests link: libqemuutil.a and headers.
#       It does not depend on our C files, so changing them leaves it alone.
# build-directory: print where ninja builds all, also when nothing was built yet.
# in-build COMMAND...: build all there from our tree, then run the command with
#       that directory as its last argument. Trees of other directories are built
#       there as well, but not while the command runs.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/build/sources.sh"

WHAT=$1
load_config

# Part of every result's name: raise it when this script changes what it builds
RECIPE=6

# Firmware of PC machines. Debian's source package of QEMU has none, a QEMU tree
# has some in pc-bios.
FIRMWARE=(/usr/share/seabios/{bios,vgabios}*.bin
    /usr/share/qemu/{kvmvapic,linuxboot,linuxboot_dma,multiboot}.bin
    /usr/share/qemu/{multiboot_dma,pvh}.bin /usr/lib/ipxe/qemu/efi-*.rom)

CONFIGURE=(--python="$PYTHON" --target-list=x86_64-softmmu
    --without-default-features --enable-kvm --enable-tcg --enable-slirp
    --enable-attr --enable-virtfs --enable-pixman
    --disable-install-blobs --disable-docs --enable-werror
    --prefix=/usr/local "${QEMU_OPTIONS[@]}")

# Guests of arm64 boot a kernel without firmware. KVM cannot run them here.
configure_aarch64() {
    CONFIGURE=("${CONFIGURE[@]/x86_64-softmmu/aarch64-softmmu}")
    CONFIGURE=("${CONFIGURE[@]/--enable-kvm/--disable-kvm}")
}

# QEMU's own tests that every device has to pass
STOCK_QTESTS=(device-introspect-test qom-test test-hmp)

# Directories of ours that QEMU does not have, and where our qtests go
OVERLAY_DIRS=(hw/pci-ep hw/misc/epf-bridge include/hw/pci-ep tests/qtest/pci-ep)

# Files of QEMU that get lines of ours. Each call names the file, a line of it
# as a basic regular expression, and the lines to put before or after.
EDITED=(hw/meson.build hw/Kconfig meson.build tests/qtest/meson.build
    system/physmem.c system/memory.c hw/intc/apic.c)

edit_files() {
    insert hw/meson.build after "^subdir('pci-host')" \
        "subdir('pci-ep')" "subdir('misc/epf-bridge')"
    insert hw/Kconfig after '^source pci-host/Kconfig' \
        'source pci-ep/Kconfig' 'source misc/epf-bridge/Kconfig'
    insert meson.build after "^ *'hw/pci-host'," \
        "    'hw/pci-ep'," "    'hw/misc/epf-bridge',"
    insert tests/qtest/meson.build before '^qtests_pci = ' "subdir('pci-ep')"
    insert tests/qtest/meson.build before '^qtest_executables = {}' \
        'qtests += pci_ep_qtests' \
        'qtests_x86_64 += pci_ep_qtests.keys()'
    correct_tlb_sections
    correct_ioeventfd_order
    correct_init_order
}

# A TLB entry of TCG for I/O is an index into the sections of the memory map that
# it was filled from. QEMU looks it up in the map of now, which is another one
# until tcg_commit_cpu() has flushed the TLB of that vCPU: the index leads to
# another region, or beyond the array. Make each vCPU keep the map that its TLB
# was filled from, with a reference, until the flush. docs/devel/qemu-findings.rst
# has the whole story; when QEMU does this itself the anchors are gone and this
# function goes too.
correct_tlb_sections() {
    local file=system/physmem.c
    insert $file after '^    MemoryListener tcg_as_listener;' \
        '    FlatView *tlb_view;'
    insert $file after '^} CPUAddressSpace;' '' \
        '/* The map that the TLB is filled from. Only the vCPU itself calls this. */' \
        'static AddressSpaceDispatch *cpuas_tlb_dispatch(CPUAddressSpace *cpuas)' \
        '{' \
        '    if (!cpuas->tlb_view) {' \
        '        cpuas->tlb_view = address_space_get_flatview(cpuas->as);' \
        '    }' \
        '    return flatview_to_dispatch(cpuas->tlb_view);' \
        '}' '' \
        'static void cpuas_tlb_view_drop(CPUAddressSpace *cpuas)' \
        '{' \
        '    if (cpuas->tlb_view) {' \
        '        flatview_unref(cpuas->tlb_view);' \
        '        cpuas->tlb_view = NULL;' \
        '    }' \
        '}'
    substitute $file 'address_space_to_dispatch(cpu->cpu_ases\[asidx\].as)' \
        'cpuas_tlb_dispatch(\&cpu->cpu_ases[asidx])'
    substitute $file 'address_space_to_dispatch(cpuas->as)' \
        'cpuas_tlb_dispatch(cpuas)'
    insert $file before '^    tlb_flush(cpu);' \
        '    cpuas_tlb_view_drop(data.host_ptr);'
    insert $file before '^ *g_clear_pointer(&cpuas->as, address_space_destroy_free);' \
        '        cpuas_tlb_view_drop(cpuas);'
}

# KVM refuses two ioeventfds at one address. When a region moves over another one,
# QEMU walks the old and the new ioeventfds by address and may add the one of the
# region on top before it removes the one below. That aborts. Walk twice, and
# remove first. See docs/devel/qemu-findings.rst.
correct_ioeventfd_order() {
    local file=system/memory.c
    insert $file before '^    while (iold < fds_old_nb || inew < fds_new_nb) {' \
        '    for (int adding = 0; adding < 2; adding++, iold = inew = 0)'
    insert $file before '^ *MEMORY_LISTENER_CALL(as, eventfd_del, Forward, &section,' \
        '            if (!adding)'
    insert $file before '^ *MEMORY_LISTENER_CALL(as, eventfd_add, Reverse, &section,' \
        '            if (adding)'
}

# A vCPU of TCG that finds both INIT and SIPI pending takes INIT first. When the
# SIPI came before the INIT, it then starts at an address that is not meant any
# more, and ignores the next SIPI. docs/devel/qemu-findings.rst has the whole
# story.
correct_init_order() {
    insert hw/intc/apic.c after '/. normal INIT IPI sent to processors ./' \
        '            foreach_apic(apic_iter, deliver_bitmask,' \
        '                         cpu_reset_interrupt(CPU(apic_iter->cpu),' \
        '                                             CPU_INTERRUPT_SIPI));'
}

# one_line ANCHOR: die unless one line of $EDIT/$FILE matches
one_line() {
    [ "$(grep -c -- "$1" "$EDIT/$FILE")" = 1 ] ||
        die 1 "$FILE of $SRC has no single line that matches \"$1\", which our" \
            "changes need; this QEMU differs too much from 10.0 to 10.2: adapt" \
            "edit_files in scripts/build/qemu.sh"
}

# substitute FILE ANCHOR TEXT: both as sed has them; replaces what the anchor matches
substitute() {
    local FILE=$1
    one_line "$2"
    sed -i "s,$2,$3," "$EDIT/$FILE"
}

insert() {
    local FILE=$1 where=$2 anchor=$3
    local file=$EDIT/$FILE
    shift 3
    one_line "$anchor"
    printf '%s\n' "$@" > "$EDIT/lines"
    if [ "$where" = after ]; then
        sed -i "/$(printf '%s' "$anchor" | sed 's,/,\\/,g')/r $EDIT/lines" \
            "$file"
    else
        sed -i -e "/$(printf '%s' "$anchor" | sed 's,/,\\/,g')/{
            e cat $EDIT/lines
        }" "$file"
    fi
}

# replace FROM TO: never write into a file that may be a hard link
replace() {
    cmp -s "$1" "$2" && return 0
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2.new"
    mv -f "$2.new" "$2"
}

own_qtest_files() {
    (cd "$TOP" && find tests/qtest -maxdepth 1 -type f -name '*.[ch]' | sort)
}

# name_result DIR: name the result of our files as they are below DIR, return
# whether there is one already. Trace events are compiled into libqemuutil.
name_result() {
    local content
    local -a files=()
    case $WHAT in
    all)
        mapfile -t files < <(own_qtest_files)
        content=$(hash_files "$1" "${OVERLAY_DIRS[@]}" "${files[@]}")
        ;;
    aarch64)
        content=$(hash_files "$1" hw/pci-ep hw/misc/epf-bridge include/hw/pci-ep)
        ;;
    util)
        content=$(hash_files "$1" {hw/pci-ep,hw/misc/epf-bridge}/trace{-events,.h})
        ;;
    esac
    RESULT=$LINK-$({
        source_id
        echo "$OPTIONS $RECIPE $content"
    } | hash_text)
    [ -d "$CACHE/out/$RESULT" ]
}

# Bring the scratch tree to the state: QEMU's source and our tree over it
sync_tree() {
    local dir file
    local -a own skip=(--exclude=/.git --exclude=/build)
    mkdir -p "$TREE"
    if [ "$SRC" = "$QEMU_SRC" ]; then
        mapfile -t own < <(own_qtest_files)
        for file in "${EDITED[@]}" "${OVERLAY_DIRS[@]}" "${own[@]}"; do
            skip+=(--exclude="/$file")
        done
        rsync -a --delete "${skip[@]}" "$SRC/" "$TREE/"
    elif [ ! -f "$TREE/configure" ]; then
        cp -al "$SRC/." "$TREE/"
    fi
    temp_dir "$CACHE/scratch"
    EDIT=$TEMP
    for file in "${EDITED[@]}"; do
        mkdir -p "$EDIT/$(dirname "$file")"
        cp "$SRC/$file" "$EDIT/$file"
    done
    edit_files
    for file in "${EDITED[@]}"; do
        replace "$EDIT/$file" "$TREE/$file"
    done
    for dir in "${OVERLAY_DIRS[@]}"; do
        mkdir -p "$TREE/$dir"
        if [ -d "$TOP/$dir" ]; then
            # By content, so that times of a fresh clone rebuild nothing
            rsync -rc --delete "$TOP/$dir/" "$TREE/$dir/"
        fi
    done
    if [ -f "$WORK/own-qtests" ]; then
        (cd "$TREE" && xargs -r rm -f) < <(comm -23 "$WORK/own-qtests" \
            <(own_qtest_files))
    fi
    own_qtest_files | while IFS= read -r file; do
        replace "$TOP/$file" "$TREE/$file"
    done
    own_qtest_files > "$WORK/own-qtests"
}

configure_tree() {
    if [ ! -f "$OBJECTS/build.ninja" ]; then
        rm -rf "$OBJECTS"
        mkdir -p "$OBJECTS"
        # shellcheck disable=SC2016
        run_logged "$CACHE/log/$(basename "$WORK")-configure.log" \
            "QEMU: configure ($(basename "$SRC"))" \
            bash -c 'cd "$1" && shift && ../src/configure "$@"' - \
            "$OBJECTS" "${CONFIGURE[@]}"
    fi
}

# Meson makes thin archives, which hold paths: make a real one
copy_archive() {
    (cd "$WORK/build" && ar t "$1" | xargs ar rcs "$2")
}

build_util() {
    local out dir
    configure_tree
    run_logged "$CACHE/log/$RESULT.log" "QEMU: build what unit tests link" \
        ninja -C "$WORK/build" libqemuutil.a libqom.a
    temp_dir "$CACHE/scratch"
    out=$TEMP
    copy_archive libqemuutil.a "$out/libqemuutil.a"
    # QEMU's threads need its object model
    copy_archive libqom.a "$out/libqemuutil.a"
    mkdir -p "$out/generated"
    cp -r "$TREE/include" "$TREE/linux-headers" "$out/"
    rm -rf "$out/include/hw/pci-ep"
    cp "$WORK"/build/config-*.h "$out/generated/"
    for dir in qapi trace; do
        mkdir -p "$out/generated/$dir"
        cp "$WORK/build/$dir"/*.h "$out/generated/$dir/"
    done
    cp "$TREE"/trace/*.h "$out/generated/trace/"
    publish "$out" "$RESULT"
}

install_firmware() {
    local file
    mkdir -p "$1"
    for file in "$SRC"/pc-bios/*.{bin,rom} "${FIRMWARE[@]}"; do
        [ ! -f "$file" ] || cp "$file" "$1/"
    done
    for file in bios-256k.bin linuxboot_dma.bin; do
        [ -f "$1/$file" ] ||
            die 1 "no $file in /usr/share and in pc-bios of the QEMU source;" \
                "install the packages seabios and qemu-system-data"
    done
}

# The names of our qtests, as QEMU's build knows them
own_qtests() {
    ninja -C "$WORK/build" -t targets all |
        sed -n 's,^\(tests/qtest/[a-z0-9-]*\): c_LINKER.*,\1,p' |
        while IFS= read -r name; do
            [ ! -f "$TOP/$name.c" ] || printf '%s\n' "$name"
        done
}

run_in_build() {
    configure_tree
    run_logged "$CACHE/log/in-build.log" "QEMU: build ($JOBS jobs)" \
        ninja -C "$WORK/build" qemu-system-x86_64
    "$@" "$WORK/build"
}

build_all() {
    local out name
    local -a tests=()
    configure_tree
    # Our qtests may have come or gone: let meson look before ninja is asked
    run_logged "$CACHE/log/$RESULT-setup.log" "QEMU: update the build files" \
        ninja -C "$WORK/build" build.ninja
    mapfile -t tests < <(own_qtests)
    for name in "${STOCK_QTESTS[@]}"; do
        tests+=("tests/qtest/$name")
    done
    run_logged "$CACHE/log/$RESULT.log" "QEMU: build ($JOBS jobs)" \
        ninja -C "$WORK/build" qemu-system-x86_64 "${tests[@]}"
    temp_dir "$CACHE/scratch"
    out=$TEMP
    mkdir -p "$out/bin" "$out/tests"
    # QEMU looks for its firmware in ../share/qemu of where it really is
    cp "$WORK/build/qemu-system-x86_64" "$out/bin/"
    ln -s bin/qemu-system-x86_64 "$out/qemu-system-x86_64"
    install_firmware "$out/share/qemu"
    for name in "${tests[@]}"; do
        cp "$WORK/build/$name" "$out/tests/"
    done
    publish "$out" "$RESULT"
}

build_aarch64() {
    local out
    configure_tree
    run_logged "$CACHE/log/$RESULT.log" "QEMU for arm64 guests: build ($JOBS jobs)" \
        ninja -C "$OBJECTS" qemu-system-aarch64
    temp_dir "$CACHE/scratch"
    out=$TEMP
    mkdir -p "$out/bin"
    cp "$OBJECTS/qemu-system-aarch64" "$out/bin/"
    ln -s bin/qemu-system-aarch64 "$out/qemu-system-aarch64"
    publish "$out" "$RESULT"
}

source_id() {
    if [ "$SRC" = "$QEMU_SRC" ]; then
        (cd "$SRC" && find . \( -name .git -o -name build \) -prune -o -type f \
            -printf '%p %s %T@\n' | sort | hash_text)
    else
        basename "$SRC"
    fi
}

mkdir -p "$CACHE/scratch" "$CACHE/log"
SRC=$(qemu_source)
OPTIONS=$({ printf '%s\n' "${CONFIGURE[@]}"; compiler_id; } | hash_text)
WORK=$CACHE/scratch/qemu-$(printf '%s' "$SRC$OPTIONS" | hash_text)
TREE=$WORK/src
OBJECTS=$WORK/build
case $WHAT in
util) LINK=qemu-util ;;
all) LINK=qemu ;;
aarch64)
    LINK=qemu-aarch64
    OBJECTS=$WORK/build-aarch64
    configure_aarch64
    OPTIONS=$({ printf '%s\n' "${CONFIGURE[@]}"; compiler_id; } | hash_text)
    ;;
build-directory)
    printf '%s\n' "$WORK/build"
    exit
    ;;
in-build)
    lock "${WORK##*/}"
    sync_tree
    run_in_build "${@:2}"
    exit
    ;;
*) die 2 "usage: qemu.sh all|util|aarch64 [STAMP], build-directory, in-build COMMAND" ;;
esac
# Our files may change until we hold the lock and have a copy
if ! name_result "$TOP"; then
    lock "${WORK##*/}"
    [ -f "$OBJECTS/build.ninja" ] || need_space 3
    sync_tree
    name_result "$TREE" || "build_$WHAT"
fi
use "$RESULT" "$LINK"
[ -z "${2:-}" ] || stamp "$2" "/* $RESULT */"
